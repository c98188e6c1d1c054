//! Rescuing the jobs of dead workers, and ending jobs that no worker can run.
//!
//! Every worker does it; `skip locked` lets them share the work.

use std::time::Duration;

use assay_core::{
    code::Code,
    ids::{FileId, JobId},
    job_error::Step,
};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::fail::{QueuedFailure, fail_queued};
use crate::{
    database::Database,
    error::{DbError, is_of_row},
};

/// What the reaper did with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// Its worker is gone; it can be claimed again at once.
    Requeued,
    /// Its worker is gone, and no attempt is left.
    Failed,
    /// Its end was requested, and its worker died first or gave the job back.
    Cancelled,
    /// No worker has known its prompt version for too long.
    VersionUnknown,
}

/// A job that the reaper changed.
#[derive(Clone, Copy, Debug)]
pub struct Reaped {
    pub job: JobId,
    pub file: FileId,
    pub rescue: Rescue,
}

/// A job that the database refuses to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    pub job: JobId,
    pub sqlstate: String,
}

/// What one call of the reaper did.
#[derive(Clone, Debug, Default)]
pub struct ReapBatch {
    pub reaped: Vec<Reaped>,
    /// Left as they are.
    pub refused: Vec<RefusedRow>,
}

impl ReapBatch {
    /// Adds what became of one job. An error that is not about its rows is the caller's.
    fn add(&mut self, job: Uuid, reaped: Result<Vec<Reaped>, DbError>) -> Result<(), DbError> {
        match reaped {
            Ok(reaped) => self.reaped.extend(reaped),
            Err(DbError::Refused(sqlstate)) if is_of_row(&sqlstate) => {
                self.refused.push(RefusedRow { job: JobId(job), sqlstate })
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns whether there may be more jobs to reap.
    pub fn is_full(&self) -> bool {
        self.reaped.len() + self.refused.len() >= BATCH
    }
}

/// Jobs per statement: enough for a dead worker's slots, few enough to keep the transaction short.
const BATCH: usize = 100;

impl Database {
    /// Takes back jobs whose lease has expired, each by its own `lock_ttl_seconds`. The lost attempt counts. A job
    /// whose end was requested ends. Leaves the jobs in `except` alone.
    ///
    /// Where the database refuses the batch because of one of its rows, takes the jobs back one by one.
    ///
    /// # Errors
    /// [`DbError`]; the next round tries again.
    pub async fn reap_expired(&self, except: &[JobId]) -> Result<ReapBatch, DbError> {
        let except: Vec<_> = except.iter().map(|job| job.0).collect();
        match self.reap_expired_in(None, &except).await {
            Ok(reaped) => Ok(ReapBatch { reaped, refused: Vec::new() }),
            Err(error) if error.is_refused_row() => {
                let mut batch = ReapBatch::default();
                for job in self.expired_jobs(&except).await? {
                    batch.add(job, self.reap_expired_in(Some(job), &[]).await)?;
                }
                Ok(batch)
            }
            Err(error) => Err(error),
        }
    }

    /// This stays one statement and does not use `fail_queued`: the jobs are `processing`, and some are requeued.
    async fn reap_expired_in(&self, only: Option<Uuid>, except: &[Uuid]) -> Result<Vec<Reaped>, DbError> {
        let rows = self
            .run(async |db| {
                sqlx::query_file!(
                    "sql/reap_expired.sql",
                    BATCH as i64,
                    Code::WorkerLost.as_str(),
                    "the worker stopped renewing its lease",
                    Code::Cancelled.as_str(),
                    "its end was requested, and its worker stopped renewing its lease",
                    only,
                    except,
                )
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Reaped {
                job: JobId(row.id),
                file: FileId(row.file_id),
                rescue: match (row.cancelled, row.spent) {
                    (true, _) => Rescue::Cancelled,
                    (false, true) => Rescue::Failed,
                    (false, false) => Rescue::Requeued,
                },
            })
            .collect())
    }

    /// Returns jobs that [`Self::reap_expired`] would take back, without locks.
    async fn expired_jobs(&self, except: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
        self.run(async |db| {
            sqlx::query_scalar!(
                r#"
                select j.id
                  from processing_jobs j
                 where j.status = 'processing' and j.id <> all ($2::uuid[])
                   and (coalesce(greatest(j.heartbeat_at, j.locked_at), j.updated_at)
                            < now() - make_interval(secs => j.lock_ttl_seconds)
                        or coalesce(greatest(j.heartbeat_at, j.locked_at), j.updated_at) > now() + interval '1 day')
                 order by j.id
                 limit $1
                "#,
                BATCH as i64,
                except,
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Ends queued jobs whose end was requested. Only a worker one version behind puts such jobs back into the queue.
    ///
    /// # Errors
    /// [`DbError`]; the next round tries again.
    pub async fn reap_cancelled(&self, except: &[JobId]) -> Result<ReapBatch, DbError> {
        let except: Vec<_> = except.iter().map(|job| job.0).collect();
        let failure = QueuedFailure::cancelled("its end was requested while it ran");
        self.fail_locked(Rescue::Cancelled, &failure, async |db| {
            sqlx::query_as!(
                Queued,
                r#"
                select j.id as job, j.file_id as file
                  from processing_jobs j
                  join files f on f.id = j.file_id
                 where j.status = 'queued' and j.cancel_requested_at is not null and j.id <> all ($2::uuid[])
                 order by j.id
                 limit $1
                   for update of j skip locked
                   for no key update of f skip locked
                "#,
                BATCH as i64,
                &except,
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Fails due jobs whose prompt version no live worker has known for `patience`.
    ///
    /// A job with a pinned digest waits for it, as for any release that does not load. A job of a paused channel waits
    /// too.
    ///
    /// # Errors
    /// [`DbError`]; the next round tries again.
    pub async fn fail_unknown_versions(&self, patience: Duration, except: &[JobId]) -> Result<ReapBatch, DbError> {
        let except: Vec<_> = except.iter().map(|job| job.0).collect();
        let failure = QueuedFailure {
            code: Code::VersionNotAvailable,
            step: Some(Step::ResolveGuest),
            message: "no worker has known this prompt version for too long",
        };
        self.fail_locked(Rescue::VersionUnknown, &failure, async |db| {
            sqlx::query_as!(
                Queued,
                r#"
                with known as (
                    select distinct release ->> 'prompt_version' as version
                      from workers w,
                           -- A row that another program wrote must not fail the statement for all.
                           jsonb_array_elements(case jsonb_typeof(w.releases) when 'array' then w.releases
                                                else '[]' end) as release
                     where w.beat_at > now() - make_interval(secs => $2)
                       -- A kept release serves only the jobs that have pinned it.
                       and release -> 'kept' is distinct from 'true'::jsonb
                )
                select j.id as job, j.file_id as file
                  from processing_jobs j
                  join files f on f.id = j.file_id
                 where j.status = 'queued' and j.prompt_version is not null and j.guest_digest is null
                   and j.id <> all ($3::uuid[])
                   and greatest(j.next_run_at, j.updated_at) < now() - make_interval(secs => $2)
                   and not exists (select from known where known.version = j.prompt_version)
                   -- A published version can be loaded; where loading fails, its jobs wait.
                   and not exists (select from guest_releases r
                                    where r.prompt_version = j.prompt_version and r.retired_at is null)
                   -- During a pause no worker may run it, whatever versions the workers know.
                   and not exists (select from queue_pauses p where p.channel in (j.channel, '*'))
                 order by j.id
                 limit $1
                   for update of j skip locked
                   for no key update of f skip locked
                "#,
                BATCH as i64,
                patience.as_secs_f64(),
                &except,
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Fails the queued jobs that `lock` returns with their rows locked, in one transaction; or one by one, where the
    /// database refuses that because of one of their rows.
    async fn fail_locked(
        &self,
        rescue: Rescue,
        failure: &QueuedFailure,
        lock: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<Vec<Queued>>,
    ) -> Result<ReapBatch, DbError> {
        let mut locked = Vec::new();
        let failed = self
            .run(async |db| {
                let mut transaction = db.begin().await?;
                locked = lock(&mut transaction).await?;
                if !locked.is_empty() {
                    let jobs: Vec<_> = locked.iter().map(|queued| queued.job).collect();
                    fail_queued(&mut transaction, &jobs, failure).await?;
                }
                transaction.commit().await
            })
            .await;
        let reaped = |queued: &Queued| Reaped { job: JobId(queued.job), file: FileId(queued.file), rescue };
        match failed {
            Ok(()) => Ok(ReapBatch { reaped: locked.iter().map(reaped).collect(), refused: Vec::new() }),
            Err(error) if error.is_refused_row() => {
                let mut batch = ReapBatch::default();
                for queued in &locked {
                    let failed = self.fail_queued_job(queued.job, failure).await;
                    batch.add(queued.job, failed.map(|failed| failed.then(|| reaped(queued)).into_iter().collect()))?;
                }
                Ok(batch)
            }
            Err(error) => Err(error),
        }
    }
}

/// A queued job whose row is locked, with its file's.
struct Queued {
    job: Uuid,
    file: Uuid,
}
