//! Answers that no live job may use again, to be deleted.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    database::Database,
    error::DbError,
    parts::{Parts, Refused},
};

/// An answer that may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldAnswer {
    pub job: Uuid,
    pub bucket: String,
    pub key: String,
}

/// What one call of [`Database::forget_answers`] has deleted.
#[derive(Debug)]
pub struct ForgottenAnswers {
    /// Rows.
    pub forgotten: u64,
    /// Answers that the database refuses to delete.
    pub refused: Vec<Refused<OldAnswer>>,
}

impl Database {
    /// Returns answers older than `age` and, with `of_successes`, those of succeeded jobs; the oldest first. Skips the
    /// first `stuck` ones, which could not be deleted.
    ///
    /// Leaves out what a live job may use again: its own answers, and those copied from the life before, whose key two
    /// rows name.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn old_answers(
        &self,
        age: Duration,
        of_successes: bool,
        stuck: usize,
        limit: usize,
    ) -> Result<Vec<OldAnswer>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                OldAnswer,
                r#"
                select a.job_id as job, f.storage_bucket as bucket, a.key
                  from job_answers a
                  join processing_jobs j on j.id = a.job_id
                  join files f on f.id = j.file_id
                 where ((a.received_at < now() - make_interval(secs => $1)
                         -- A life's answers go together: the prompts of a second round depend on the first.
                         and not exists (select from job_answers younger
                                          where younger.job_id = a.job_id and younger.life = a.life
                                            and younger.received_at >= now() - make_interval(secs => $1)))
                        or ($2 and j.status = 'succeeded'))
                   and not (j.status in ('queued', 'processing')
                            and exists (select from job_answers live
                                         where live.job_id = a.job_id and live.life = j.life and live.key = a.key))
                 order by a.received_at, a.job_id, a.life, a.ordinal
                offset $4
                 limit $3
                "#,
                age.as_secs_f64(),
                of_successes,
                i64::try_from(limit).unwrap_or(i64::MAX),
                i64::try_from(stuck).unwrap_or(i64::MAX),
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Deletes the rows of answers whose bytes are gone, in every life. A life that began meanwhile asks the model again.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn forget_answers(&self, gone: &[OldAnswer]) -> Result<ForgottenAnswers, DbError> {
        let mut forgotten = 0;
        let mut parts = Parts::of(gone);
        while let Some(part) = parts.next_part() {
            forgotten += parts.settle(part, self.delete_answers(part).await)?.unwrap_or_default();
        }
        Ok(ForgottenAnswers { forgotten, refused: parts.refused() })
    }

    async fn delete_answers(&self, gone: &[OldAnswer]) -> Result<u64, DbError> {
        let jobs: Vec<_> = gone.iter().map(|answer| answer.job).collect();
        let keys: Vec<_> = gone.iter().map(|answer| answer.key.clone()).collect();
        let done = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                delete from job_answers a
                 using unnest($1::uuid[], $2::text[]) as gone (job, key)
                 where a.job_id = gone.job and a.key = gone.key
                "#,
                    &jobs,
                    &keys,
                )
                .execute(db)
                .await
            })
            .await?;
        Ok(done.rows_affected())
    }
}
