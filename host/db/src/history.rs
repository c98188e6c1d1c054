//! Old history, to be deleted: attempts of ended lives, and results of shadows.

use std::time::Duration;

use assay_core::{code::Code, ids::JobId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{database::Database, error::DbError};

/// The last attempt that was looked at; the next call continues behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryCursor {
    pub ended_at: OffsetDateTime,
    pub job: Uuid,
    /// The lease token.
    pub token: i64,
}

impl HistoryCursor {
    /// Before the first attempt.
    pub const START: Self = Self { ended_at: OffsetDateTime::UNIX_EPOCH, job: Uuid::nil(), token: 0 };
}

/// What one call has deleted, and where the next one continues.
#[derive(Clone, Debug)]
pub struct ForgottenAttempts {
    pub forgotten: u64,
    /// None at the end.
    pub next: Option<HistoryCursor>,
}

impl Database {
    /// Looks at the next `limit` attempts behind `after` that ended longer than `age` ago, the oldest first, and
    /// deletes those of ended lives. Of each job stay the last attempt, the last one with an error, and the last one
    /// with a report.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn forget_attempts(
        &self,
        age: Duration,
        after: &HistoryCursor,
        limit: usize,
    ) -> Result<ForgottenAttempts, DbError> {
        // Without a cursor, each call would read again the attempts that stay.
        let row = self
            .repeat(async |db| {
                sqlx::query_file!(
                    "sql/forget_attempts.sql",
                    age.as_secs_f64(),
                    after.ended_at,
                    after.job,
                    after.token,
                    i64::try_from(limit).unwrap_or(i64::MAX),
                )
                .fetch_optional(db)
                .await
            })
            .await?;
        let Some(row) = row else { return Ok(ForgottenAttempts { forgotten: 0, next: None }) };
        let full = usize::try_from(row.looked).is_ok_and(|looked| looked >= limit);
        let cursor = HistoryCursor { ended_at: row.ended_at, job: row.job_id, token: row.lease_token };
        Ok(ForgottenAttempts { forgotten: u64::try_from(row.forgotten).unwrap_or(0), next: full.then_some(cursor) })
    }

    /// Counts the holds of a job's life with this code whose message contains `words`.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn count_holds(&self, job: JobId, life: i32, code: Code, words: &str) -> Result<i64, DbError> {
        self.run(async |db| {
            sqlx::query_scalar!(
                r#"
                select count(*) as "holds!"
                  from job_attempts a
                 where a.job_id = $1 and a.life = $2 and a.outcome = 'held' and a.code = $3
                   and position($4 in a.message) > 0
                "#,
                job.0,
                life,
                code.as_str(),
                words,
            )
            .fetch_one(db)
            .await
        })
        .await
    }

    /// Deletes at most `limit` results of shadows that are older than `age`, and returns how many.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn forget_shadows(&self, age: Duration, limit: usize) -> Result<u64, DbError> {
        let done = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    delete from release_shadows s
                     using (select digest, file_id from release_shadows
                             where at < now() - make_interval(secs => $1)
                             order by at limit $2) as old
                     where s.digest = old.digest and s.file_id = old.file_id
                       and s.at < now() - make_interval(secs => $1)
                    "#,
                    age.as_secs_f64(),
                    i64::try_from(limit).unwrap_or(i64::MAX),
                )
                .execute(db)
                .await
            })
            .await?;
        Ok(done.rows_affected())
    }
}
