//! Results of shadow releases.

use std::time::Duration;

use assay_core::ids::FileId;
use serde::Serialize;

use crate::{database::Database, error::DbError};

/// The result of a candidate on one file's answers.
#[derive(Debug)]
pub struct ShadowResult<'a> {
    /// Of the candidate.
    pub digest: &'a str,
    pub file: FileId,
    /// Digest of the release that ran the job.
    pub beside: &'a str,
    pub channel: &'a str,
    /// From [`assay_core::report_diff::Difference::as_str`].
    pub result: &'static str,
    /// Where the reports differ, as pointers into the schema.
    pub pointers: Vec<String>,
    /// Only of a fault.
    pub code: Option<&'static str>,
    /// In the sandbox.
    pub guest_time: Duration,
}

/// The files with one result, and where their reports differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShadowTally {
    pub result: String,
    pub files: i64,
    /// The most frequent pointers or, for faults, codes; each with its number of files.
    pub most: Vec<(String, i64)>,
}

impl Database {
    /// Writes a result, in place of the file's earlier one.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn record_shadow(&self, result: &ShadowResult<'_>) -> Result<(), DbError> {
        self.repeat(async |db| {
            sqlx::query!(
                r#"
                insert into release_shadows (digest, file_id, beside, channel, result, pointers, code, guest_micros)
                values ($1, $2, $3, $4, $5, $6, $7, $8)
                on conflict (digest, file_id) do update
                   set beside = excluded.beside, channel = excluded.channel, result = excluded.result,
                       pointers = excluded.pointers, code = excluded.code, guest_micros = excluded.guest_micros,
                       at = now()
                "#,
                result.digest,
                result.file.0,
                result.beside,
                result.channel,
                result.result,
                &result.pointers,
                result.code,
                i64::try_from(result.guest_time.as_micros()).unwrap_or(i64::MAX),
            )
            .execute(db)
            .await
        })
        .await?;
        Ok(())
    }

    /// Returns a candidate's results, each with at most `most` pointers or codes.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn shadow_tally(&self, digest: &str, most: i64) -> Result<Vec<ShadowTally>, DbError> {
        let rows = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    with places as (
                        select s.result, place, count(*) as files,
                               row_number() over (partition by s.result order by count(*) desc, place) as rank
                          from release_shadows s, unnest(s.pointers || s.code) as place
                         where s.digest = $1 and place is not null
                         group by s.result, place
                    )
                    select s.result, count(*) as "files!",
                           coalesce((select jsonb_agg(jsonb_build_array(p.place, p.files) order by p.rank)
                                       from places p where p.result = s.result and p.rank <= $2), '[]') as "most!"
                      from release_shadows s
                     where s.digest = $1
                     group by s.result
                    "#,
                    digest,
                    most,
                )
                .fetch_all(db)
                .await
            })
            .await?;
        let tally = rows.into_iter().map(|row| {
            let most = serde_json::from_value(row.most).map_err(|_| DbError::Row("places are not pairs"))?;
            Ok(ShadowTally { result: row.result, files: row.files, most })
        });
        tally.collect()
    }
}
