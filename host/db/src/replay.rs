//! Finished jobs whose answers can be run through a guest once more.

use assay_core::{
    file_info::FileInfo,
    ids::{FileId, UserId},
    journal_entry::JournalEntry,
};
use serde::Serialize;
use sqlx::types::Json;
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::{
    Database, DbError,
    facts::{Entry, attributes, media_type},
};

/// Which jobs are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplaySelection {
    /// Ended at this instant or later.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    /// Of this channel.
    pub channel: Option<String>,
    /// At most so many, the newest.
    pub limit: Option<u64>,
}

/// A place in the list of jobs, which begins with the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayPlace {
    ended_at: OffsetDateTime,
    job: Uuid,
}

impl ReplayPlace {
    /// Before the newest job.
    pub const START: Self = Self { ended_at: datetime!(9999-12-31 23:59:59 UTC), job: Uuid::max() };
}

/// A job that ended in a verdict of its guest, and that has answers.
#[derive(Debug)]
pub struct ReplayJob {
    /// Where the list goes on behind it.
    pub place: ReplayPlace,
    /// Its file.
    pub file: FileInfo,
    /// Bytes of the original, as they were announced.
    pub size_bytes: i64,
    /// Where its report is; none where the guest rejected the answers.
    pub report_key: Option<String>,
    /// The guest that ran, lower hex.
    pub guest_digest: String,
    /// The answers of its last life.
    pub journal: Vec<JournalEntry>,
}

impl Database {
    /// How many jobs a replay has before it.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn replay_count(&self, selection: &ReplaySelection) -> Result<u64, DbError> {
        let count = self
            .run(async |db| {
                sqlx::query_scalar!(
                    r#"
                    select count(*) as "count!"
                      from (select 1
                              from job_attempts a
                              join processing_jobs j
                                on j.id = a.job_id and j.life = a.life and j.lease_token = a.lease_token
                             where a.outcome = j.status and a.ended_at >= $1
                               and (a.outcome = 'succeeded' or a.code = 'schema_validation_failed')
                               and ($2::text is null or j.channel = $2)
                               and exists (select from job_answers w where w.job_id = j.id and w.life = j.life)
                             limit $3) as meant
                    "#,
                    selection.since.unwrap_or(OffsetDateTime::UNIX_EPOCH),
                    selection.channel,
                    selection.limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)),
                )
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The next jobs behind `after`, the newest first, at most `rows`; `selection.limit` is the caller's to keep.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn replay_jobs(
        &self,
        selection: &ReplaySelection,
        after: ReplayPlace,
        rows: usize,
    ) -> Result<Vec<ReplayJob>, DbError> {
        // The end of a job is the end of its last attempt: of the two instants, which are one, only this has an index.
        let rows = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                    select a.ended_at, j.id as job_id, j.guest_digest as "guest_digest!",
                           case when j.status = 'succeeded' then f.storage_key_report end as report_key,
                           f.id as file_id, f.user_id, f.storage_bucket, f.storage_key_original, f.original_filename,
                           f.extension, f.attributes, f.size_bytes,
                           to_char(f.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "received_at!",
                           (select coalesce(json_agg(json_build_object(
                                       'ordinal', w.ordinal, 'prompt_sha256', encode(w.prompt_sha256, 'hex'),
                                       'key', w.key, 'sha256', encode(w.sha256, 'hex'), 'model', w.model,
                                       'finish_reason', w.finish_reason) order by w.ordinal), '[]')
                              from job_answers w
                             where w.job_id = j.id and w.life = j.life) as "journal!: Json<Vec<Entry>>"
                      from job_attempts a
                      join processing_jobs j on j.id = a.job_id and j.life = a.life and j.lease_token = a.lease_token
                      join files f on f.id = j.file_id
                     where a.outcome = j.status and a.ended_at >= $1 and (a.ended_at, a.job_id) < ($3, $4)
                       and (a.outcome = 'succeeded' or a.code = 'schema_validation_failed')
                       and ($2::text is null or j.channel = $2)
                       and exists (select from job_answers w where w.job_id = j.id and w.life = j.life)
                     order by a.ended_at desc, a.job_id desc
                     limit $5
                    "#,
                    selection.since.unwrap_or(OffsetDateTime::UNIX_EPOCH),
                    selection.channel,
                    after.ended_at,
                    after.job,
                    i64::try_from(rows).unwrap_or(i64::MAX),
                )
                .fetch_all(db)
                .await
            })
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ReplayJob {
                    place: ReplayPlace { ended_at: row.ended_at, job: row.job_id },
                    file: FileInfo {
                        id: FileId(row.file_id),
                        user: UserId(row.user_id),
                        bucket: row.storage_bucket,
                        original_key: row.storage_key_original,
                        filename: row.original_filename,
                        media_type: media_type(&row.extension).to_owned(),
                        received_at: row.received_at,
                        attributes: attributes(row.attributes),
                    },
                    size_bytes: row.size_bytes,
                    report_key: row.report_key,
                    guest_digest: row.guest_digest,
                    journal: row.journal.0.into_iter().map(Entry::decode).collect::<Result<_, _>>()?,
                })
            })
            .collect()
    }
}
