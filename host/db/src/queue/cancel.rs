//! Cancelling: a queued job ends at once; a running one is marked, and its worker reads the mark with its next
//! heartbeat.

use std::collections::HashMap;

use sqlx::Connection;
use uuid::Uuid;

use super::fail::{QueuedFailure, fail_queued};
use crate::{
    database::Database,
    error::DbError,
    parts::{Parts, Refused},
};

/// What one cancel request did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The job was queued, and has ended.
    Ended,
    /// The job is running; its worker ends it with its next heartbeat.
    Requested,
    /// The job had ended before.
    TooLate,
    /// No job has this id, nor a file of this id.
    Unknown,
    /// The database refuses to change the job's rows, with this SQLSTATE. They stay as they are.
    Refused(String),
}

/// One request, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The id as it was given.
    pub named: Uuid,
    pub job: Option<Uuid>,
    pub file: Option<Uuid>,
    pub done: CancelOutcome,
}

impl Database {
    /// Requests the end of jobs, each named by its own id or its file's, in the order given. One transaction, or several
    /// where the database refuses one of the jobs.
    ///
    /// The request is a column of the job. The worker's next heartbeat reads it; the settlement and the reaper obey it.
    /// The notification only makes the heartbeat come sooner. Requeueing the job clears the request.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn cancel(&self, named: &[Uuid]) -> Result<Vec<Cancelled>, DbError> {
        let mut cancelled = Vec::new();
        let mut parts = Parts::of(named);
        while let Some(part) = parts.next_part() {
            cancelled.extend(parts.settle(part, self.cancel_all(part).await)?.unwrap_or_default());
        }
        cancelled.extend(parts.refused().into_iter().map(|Refused { row, sqlstate }| Cancelled {
            named: row,
            job: None,
            file: None,
            done: CancelOutcome::Refused(sqlstate),
        }));
        let place: HashMap<Uuid, usize> = named.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        cancelled.sort_by_key(|one| place.get(&one.named).copied());
        Ok(cancelled)
    }

    /// One transaction: all or none.
    async fn cancel_all(&self, named: &[Uuid]) -> Result<Vec<Cancelled>, DbError> {
        let rows = self
            .repeat(async |db| {
                let mut transaction = db.begin().await?;
                // Lock first, in its own statement: only the next statement sees rows committed while we waited.
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
                        select j.id, j.status
                          from processing_jobs j
                          join files f on f.id = j.file_id
                         where (j.id = any ($1::uuid[]) or j.file_id = any ($1::uuid[]))
                           and j.status in ('queued', 'processing')
                         order by j.id
                           for update of j
                           for no key update of f
                    ), requested as (
                        update processing_jobs j
                           -- A running job keeps the time of the first request.
                           set cancel_requested_at = case when j.status = 'processing'
                                                          then coalesce(j.cancel_requested_at, now()) else now() end,
                               updated_at = now()
                          from held
                         where j.id = held.id and (j.status = 'queued' or j.status = 'processing')
                    ), beat as (
                        select pg_notify('assay_cancels', '')
                         where exists (select from held where status = 'processing')
                    )
                    select given.id as "named!", j.id as "job?", j.file_id as "file?", held.status as "held?"
                      from unnest($1::uuid[]) with ordinality as given (id, ordinal)
                      left join processing_jobs j on j.id = given.id or j.file_id = given.id
                      left join held on held.id = j.id
                     where (select count(*) from beat) >= 0
                     order by given.ordinal
                    "#,
                    named,
                )
                .fetch_all(&mut *transaction)
                .await?;
                let queued: Vec<_> =
                    rows.iter().filter(|row| row.held.as_deref() == Some("queued")).filter_map(|row| row.job).collect();
                if !queued.is_empty() {
                    let failure = QueuedFailure::cancelled("its end was requested before it began to run");
                    fail_queued(&mut transaction, &queued, &failure).await?;
                }
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
                    (None, _) => CancelOutcome::Unknown,
                    (Some(_), None) => CancelOutcome::TooLate,
                    (Some(_), Some("queued")) => CancelOutcome::Ended,
                    (Some(_), Some(_)) => CancelOutcome::Requested,
                },
            })
            .collect())
    }
}
