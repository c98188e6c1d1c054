//! New lives for failed jobs, with the answers that they have or without.

use assay_core::code::Code;
use sqlx::Connection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Database, DbError, rerun::Pace};

/// A job that begins anew.
#[derive(Clone, Copy, Debug)]
pub struct Retried {
    /// The job.
    pub job: Uuid,
    /// When it can be claimed.
    pub begins_at: OffsetDateTime,
}

impl Database {
    /// Gives each of the jobs a new life that failed, with its file, and is nobody else's by now; the others stay as they are. It
    /// keeps its channel, its priority and the prompt version that it was enqueued with. One transaction: all of them, or none.
    ///
    /// After a rejection ([`Code::discards_answers`]) journal and pin are fresh. After anything else the new life has the pin of the
    /// old one and copies of its answers' rows, which name the same objects: whoever deletes an object looks at all lives.
    ///
    /// # Errors
    /// [`DbError`]; doing it again is safe, because who has a new life is left as it is.
    pub async fn retry(&self, jobs: &[Uuid], pace: &Pace) -> Result<Vec<Retried>, DbError> {
        self.run(async |db| {
            let mut transaction = db.begin().await?;
            // A statement of its own: who has waited for a lock looks at the rows as they are by then only with the next one, and would
            // write back what somebody else has changed meanwhile.
            sqlx::query!(
                r#"
                select j.id
                  from processing_jobs j
                  join files f on f.id = j.file_id
                 where j.id = any ($1::uuid[]) and j.status = 'failed'
                 order by j.id
                   for update of j
                   for no key update of f
                "#,
                jobs,
            )
            .fetch_all(&mut *transaction)
            .await?;
            let retried = sqlx::query_as!(
                Retried,
                r#"
                with held as (
                    -- Locked job first and file second, as everybody does, and in the order of the jobs' ids. Whoever waited
                    -- for the lock of another retry looks at the row again, and finds it queued.
                    select j.id, j.file_id, j.life, f.error_code = any ($5::text[]) as afresh
                      from processing_jobs j
                      join files f on f.id = j.file_id
                     where j.id = any ($1::uuid[]) and j.status = 'failed'
                       and f.status = 'failed' and f.processed_at <= $2
                     order by j.id
                       for update of j
                       for no key update of f
                ), due as (
                    select h.id, h.file_id, h.life, h.afresh,
                           $2::timestamptz
                               + make_interval(secs => $3::float8 * ($4 + row_number() over (order by given.ordinal) - 1)) as at
                      from held h
                      join unnest($1::uuid[]) with ordinality as given (id, ordinal) on given.id = h.id
                ), job as (
                    update processing_jobs j
                       set status = 'queued', life = j.life + 1, attempts = 0, snoozes = 0,
                           guest_digest = case when due.afresh then null else j.guest_digest end,
                           next_run_at = due.at, cancel_requested_at = null, last_error_code = null,
                           last_error_step = null, last_error_message = null, updated_at = now()
                      from due
                     where j.id = due.id and j.status = 'failed'
                ), answers as (
                    insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model,
                                             finish_reason, tokens_in, tokens_out, received_at)
                    select a.job_id, due.life + 1, a.ordinal, a.lease_token, a.prompt_sha256, a.key, a.sha256, a.model,
                           a.finish_reason, a.tokens_in, a.tokens_out, a.received_at
                      from due
                      join job_answers a on a.job_id = due.id and a.life = due.life
                     where not due.afresh
                ), file as (
                    -- Keys of an earlier life stay until this one is final.
                    update files f
                       set status = 'queued', error_code = null, error_message = null, processing_attempts = 0,
                           queued_at = now(), started_at = null, processed_at = null, updated_at = now()
                      from due
                     where f.id = due.file_id
                ), wake as (
                    select pg_notify('assay_jobs', '') where exists (select from due)
                )
                select due.id as "job!", due.at as "begins_at!" from due
                 where (select count(*) from wake) >= 0
                "#,
                jobs,
                pace.began,
                pace.gap,
                i64::try_from(pace.before).unwrap_or(i64::MAX),
                &Code::texts(Code::discards_answers),
            )
            .fetch_all(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(retried)
        })
        .await
    }
}
