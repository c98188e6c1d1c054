//! Cancelling: what waits ends at once, what is in hand is asked to end, in a column that its worker's beat brings back.

use assay_core::code::Code;
use sqlx::Connection;
use uuid::Uuid;

use crate::{Database, DbError};

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// The job waited, and has ended.
    Ended,
    /// The job is in hand; its worker ends it with its next beat.
    Requested,
    /// The job had ended before.
    TooLate,
    /// There is no such job, and no file of that id that has one.
    Unknown,
}

/// A job or file as it was named, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The id as it was given.
    pub named: Uuid,
    /// The job.
    pub job: Option<Uuid>,
    /// Its file.
    pub file: Option<Uuid>,
    /// What was done.
    pub done: Cancel,
}

impl Database {
    /// Asks for the end of jobs, each named by its own id or by its file's, in the order asked. One transaction: all of them, or none.
    ///
    /// The request is a column of the job, so nobody has to hear of it: the worker's next beat brings it back, its settlement and the
    /// reaper honour it. The notification only makes that beat come sooner. A new life of the job knows nothing of it.
    ///
    /// # Errors
    /// [`DbError`]; asking again is safe.
    pub async fn cancel(&self, named: &[Uuid]) -> Result<Vec<Cancelled>, DbError> {
        let rows = self
            .run(async |db| {
                let mut transaction = db.begin().await?;
                // A statement of its own: who has waited for a lock looks at the rows as they are by then only with the next one.
                sqlx::query!(
                    r#"
                select j.id
                  from processing_jobs j
                  join files f on f.id = j.file_id
                 where j.id = any ($1::uuid[]) or j.file_id = any ($1::uuid[])
                 order by j.id
                   for update of j
                   for no key update of f
                "#,
                    named,
                )
                .fetch_all(&mut *transaction)
                .await?;
                let rows = sqlx::query!(
                    r#"
                with held as (
                    select j.id, j.file_id, j.status
                      from processing_jobs j
                      join files f on f.id = j.file_id
                     where (j.id = any ($1::uuid[]) or j.file_id = any ($1::uuid[])) and j.status in ('queued', 'processing')
                     order by j.id
                       for update of j
                       for no key update of f
                ), ended as (
                    update processing_jobs j
                       set status = 'failed', cancel_requested_at = now(), last_error_code = $2, last_error_step = null,
                           last_error_message = $3, updated_at = now()
                      from held
                     where j.id = held.id and held.status = 'queued' and j.status = 'queued'
                ), requested as (
                    update processing_jobs j
                       set cancel_requested_at = coalesce(j.cancel_requested_at, now()), updated_at = now()
                      from held
                     where j.id = held.id and held.status = 'processing' and j.status = 'processing'
                ), file as (
                    update files f
                       set status = 'failed', error_code = $2, error_message = $3, processed_at = now(),
                           updated_at = now(),
                           storage_key_raw_llm_output = null,
                           -- Of an earlier life, whose report stays.
                           (prompt_version, schema_version, guest_digest) =
                               (select f.prompt_version, f.schema_version, f.guest_digest
                                 where f.storage_key_report is not null)
                      from held
                     where f.id = held.file_id and held.status = 'queued'
                ), beat as (
                    select pg_notify('assay_cancels', '') where exists (select from held where status = 'processing')
                )
                select given.id as "named!", j.id as "job?", j.file_id as "file?", held.status as "held?"
                  from unnest($1::uuid[]) with ordinality as given (id, ordinal)
                  left join processing_jobs j on j.id = given.id or j.file_id = given.id
                  left join held on held.id = j.id
                 where (select count(*) from beat) >= 0
                 order by given.ordinal
                "#,
                    named,
                    Code::Cancelled.as_str(),
                    "somebody asked for its end before it began to run",
                )
                .fetch_all(&mut *transaction)
                .await?;
                transaction.commit().await?;
                Ok(rows)
            })
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Cancelled {
                named: row.named,
                job: row.job,
                file: row.file,
                done: match (row.job, row.held.as_deref()) {
                    (None, _) => Cancel::Unknown,
                    (Some(_), None) => Cancel::TooLate,
                    (Some(_), Some("queued")) => Cancel::Ended,
                    (Some(_), Some(_)) => Cancel::Requested,
                },
            })
            .collect())
    }
}
