//! Claiming job by job, where the database refuses a batch because of one of its rows.

use std::time::Duration;

use assay_core::{claim::QueuePosition, code::Code, ids::JobId, job_error::Step, serving::Serving};
use sqlx::{Connection, Executor};
use uuid::Uuid;

use super::{
    claim::{ClaimScope, ClaimStatement},
    claim_batch::{ClaimBatch, RefusedJob},
    fail::QueuedFailure,
};
use crate::{
    database::Database,
    error::{DbError, is_of_row},
};

/// Jobs that are tried besides those that there are slots for: bad rows, and rows that another worker takes first.
const MORE_CANDIDATES: usize = 100;

const UNCLAIMABLE: QueuedFailure = QueuedFailure {
    code: Code::RowUnreadable,
    step: Some(Step::ReadRow),
    message: "the database refuses to claim the job: a row has a value that it cannot change",
};

impl Database {
    /// Claims at most `slots` jobs, each by its own statement.
    ///
    /// A job that is refused before and after others were claimed is failed. Where every claim is refused, the fault is not a
    /// row's: a constraint or a trigger concerns all of them, and the jobs wait. So does a job that was refused just before
    /// such a fault ended.
    pub(super) async fn claim_singly(
        &self,
        worker: &str,
        serving: &Serving,
        slots: usize,
        lease: Duration,
        from: Option<QueuePosition>,
    ) -> Result<ClaimBatch, DbError> {
        let mut batch = ClaimBatch::default();
        for job in self.due_jobs(serving, slots.saturating_add(MORE_CANDIDATES), from).await? {
            if batch.len() >= slots {
                break;
            }
            match self.claim_in(worker, serving, 1, lease, &ClaimScope { from, only: Some(&[job]) }).await {
                Ok(one) => batch.extend(one),
                Err(DbError::Refused(sqlstate)) if is_of_row(&sqlstate) => {
                    batch.refused.push(RefusedJob { job: JobId(job), sqlstate, failed: false });
                }
                // What is claimed already must be run.
                Err(_) if !batch.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        if !batch.is_empty() {
            for refused in &mut batch.refused {
                refused.failed = self.still_refuses(worker, serving, lease, refused.job.0).await
                    && self.fail_queued_job(refused.job.0, &UNCLAIMABLE).await.is_ok();
            }
        }
        Ok(batch)
    }

    /// Returns whether the database refuses to claim a job. Claims nothing: there may be no slot left for it.
    async fn still_refuses(&self, worker: &str, serving: &Serving, lease: Duration, job: Uuid) -> bool {
        let statement = ClaimStatement::new(worker, serving, lease);
        let tried = self.run(async |db| {
            let mut transaction = db.begin().await?;
            // A commit would check those that are deferred. A server reports the first refusal before it drops the locks of
            // that claim, and a claim skips what is locked.
            transaction.execute("set constraints all immediate; set local lock_timeout = '1s'").await?;
            sqlx::query_scalar!("select id from processing_jobs where id = $1 for update", job)
                .fetch_one(&mut *transaction)
                .await?;
            statement.run(&mut transaction, 1, &ClaimScope { from: None, only: Some(&[job]) }).await?;
            transaction.rollback().await
        });
        tried.await.is_err_and(|error| error.is_refused_row())
    }
}
