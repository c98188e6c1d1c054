//! Old history, to be deleted: attempts of ended lives, and results of shadows.

use std::time::Duration;

use assay_core::{
    code::Code,
    ids::{FileId, JobId},
    settlement::SettleOutcome,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    database::Database,
    error::DbError,
    parts::{Parts, Refused},
};

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
    /// Attempts that the database refuses to delete.
    pub refused: Vec<Refused<HistoryCursor>>,
}

/// What one call of [`Database::forget_shadows`] has deleted.
#[derive(Clone, Debug)]
pub struct ForgottenShadows {
    pub forgotten: u64,
    /// Results that the database refuses to delete.
    pub refused: Vec<Refused<OldShadow>>,
}

/// A result of a shadow that may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldShadow {
    /// Of the candidate.
    pub digest: String,
    pub file: FileId,
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
        match self.delete_attempts(age, after, limit, None).await {
            Ok(deleted) => Ok(deleted),
            Err(error) if error.is_refused_row() => self.forget_attempts_in_parts(age, after, limit).await,
            Err(error) => Err(error),
        }
    }

    async fn forget_attempts_in_parts(
        &self,
        age: Duration,
        after: &HistoryCursor,
        limit: usize,
    ) -> Result<ForgottenAttempts, DbError> {
        let looked = self.old_attempts(age, after, limit).await?;
        let mut forgotten = 0;
        let mut parts = Parts::of(&looked);
        while let Some(part) = parts.next_part() {
            let deleted = self.delete_attempts(age, after, part.len(), Some(part)).await;
            forgotten += parts.settle(part, deleted)?.map_or(0, |deleted| deleted.forgotten);
        }
        let next = looked.last().filter(|_| looked.len() >= limit).cloned();
        Ok(ForgottenAttempts { forgotten, next, refused: parts.refused() })
    }

    /// Looks at the next attempts, of those in `only` if there are any.
    async fn delete_attempts(
        &self,
        age: Duration,
        after: &HistoryCursor,
        limit: usize,
        only: Option<&[HistoryCursor]>,
    ) -> Result<ForgottenAttempts, DbError> {
        let jobs = only.map(|only| only.iter().map(|attempt| attempt.job).collect::<Vec<_>>());
        let tokens = only.map(|only| only.iter().map(|attempt| attempt.token).collect::<Vec<_>>());
        let row = self
            .repeat(async |db| {
                sqlx::query_file!(
                    "sql/forget_attempts.sql",
                    age.as_secs_f64(),
                    after.ended_at,
                    after.job,
                    after.token,
                    i64::try_from(limit).unwrap_or(i64::MAX),
                    jobs.as_deref(),
                    tokens.as_deref(),
                )
                .fetch_optional(db)
                .await
            })
            .await?;
        let Some(row) = row else { return Ok(ForgottenAttempts { forgotten: 0, next: None, refused: Vec::new() }) };
        let full = usize::try_from(row.looked).is_ok_and(|looked| looked >= limit);
        let cursor = HistoryCursor { ended_at: row.ended_at, job: row.job_id, token: row.lease_token };
        Ok(ForgottenAttempts {
            forgotten: u64::try_from(row.forgotten).unwrap_or(0),
            next: full.then_some(cursor),
            refused: Vec::new(),
        })
    }

    /// Returns the attempts that [`Self::forget_attempts`] looks at.
    async fn old_attempts(
        &self,
        age: Duration,
        after: &HistoryCursor,
        limit: usize,
    ) -> Result<Vec<HistoryCursor>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                HistoryCursor,
                r#"
                select a.ended_at, a.job_id as job, a.lease_token as token
                  from job_attempts a
                 where a.ended_at < now() - make_interval(secs => $1)
                   and (a.ended_at, a.job_id, a.lease_token) > ($2, $3, $4)
                 order by a.ended_at, a.job_id, a.lease_token
                 limit $5
                "#,
                age.as_secs_f64(),
                after.ended_at,
                after.job,
                after.token,
                i64::try_from(limit).unwrap_or(i64::MAX),
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Counts the holds of a job's life with this code whose message contains `words`.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn count_attempts(
        &self,
        job: JobId,
        life: i32,
        outcome: SettleOutcome,
        code: Code,
        words: &str,
    ) -> Result<i64, DbError> {
        self.run(async |db| {
            sqlx::query_scalar!(
                r#"
                select count(*) as "attempts!"
                  from job_attempts a
                 where a.job_id = $1 and a.life = $2 and a.outcome = $3 and a.code = $4
                   and position($5 in a.message) > 0
                "#,
                job.0,
                life,
                outcome.as_str(),
                code.as_str(),
                words,
            )
            .fetch_one(db)
            .await
        })
        .await
    }

    /// Deletes at most `limit` results of shadows that are older than `age`, the oldest first. Skips the first `stuck`
    /// ones, which could not be deleted.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn forget_shadows(&self, age: Duration, stuck: usize, limit: usize) -> Result<ForgottenShadows, DbError> {
        let old = self.old_shadows(age, stuck, limit).await?;
        let mut forgotten = 0;
        let mut parts = Parts::of(&old);
        while let Some(part) = parts.next_part() {
            forgotten += parts.settle(part, self.delete_shadows(age, part).await)?.unwrap_or_default();
        }
        Ok(ForgottenShadows { forgotten, refused: parts.refused() })
    }

    async fn old_shadows(&self, age: Duration, stuck: usize, limit: usize) -> Result<Vec<OldShadow>, DbError> {
        let rows = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    select digest, file_id
                      from release_shadows
                     where at < now() - make_interval(secs => $1)
                     order by at, digest, file_id
                    offset $2
                     limit $3
                    "#,
                    age.as_secs_f64(),
                    i64::try_from(stuck).unwrap_or(i64::MAX),
                    i64::try_from(limit).unwrap_or(i64::MAX),
                )
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(rows.into_iter().map(|row| OldShadow { digest: row.digest, file: FileId(row.file_id) }).collect())
    }

    async fn delete_shadows(&self, age: Duration, old: &[OldShadow]) -> Result<u64, DbError> {
        let digests: Vec<_> = old.iter().map(|shadow| shadow.digest.clone()).collect();
        let files: Vec<_> = old.iter().map(|shadow| shadow.file.0).collect();
        let done = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    delete from release_shadows s
                     using unnest($2::text[], $3::uuid[]) as old (digest, file_id)
                     where s.digest = old.digest and s.file_id = old.file_id
                       -- A result may have been replaced by a new one meanwhile.
                       and s.at < now() - make_interval(secs => $1)
                    "#,
                    age.as_secs_f64(),
                    &digests,
                    &files,
                )
                .execute(db)
                .await
            })
            .await?;
        Ok(done.rows_affected())
    }
}
