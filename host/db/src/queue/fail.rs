//! Failing jobs that no worker has claimed, with their files.

use assay_core::{code::Code, job_error::Step};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{database::Database, error::DbError};

/// Why jobs fail that no worker has claimed.
pub(super) struct QueuedFailure {
    pub(super) code: Code,
    pub(super) step: Option<Step>,
    pub(super) message: &'static str,
}

impl QueuedFailure {
    pub(super) const fn cancelled(message: &'static str) -> Self {
        Self { code: Code::Cancelled, step: None, message }
    }
}

impl Database {
    /// Fails one queued job with its file, in its own transaction: where a batch is refused because of one of its rows.
    /// Returns whether the job was still queued.
    pub(super) async fn fail_queued_job(&self, job: Uuid, failure: &QueuedFailure) -> Result<bool, DbError> {
        self.run(async |db| {
            let mut transaction = db.begin().await?;
            let locked = sqlx::query_scalar!(
                r#"
                select j.id
                  from processing_jobs j
                  join files f on f.id = j.file_id
                 where j.id = $1 and j.status = 'queued'
                   for update of j
                   for no key update of f
                "#,
                job
            );
            let is_queued = locked.fetch_optional(&mut *transaction).await?.is_some();
            if is_queued {
                fail_queued(&mut transaction, &[job], failure).await?;
            }
            transaction.commit().await?;
            Ok(is_queued)
        })
        .await
    }
}

/// Fails queued jobs and their files; a report of an earlier life stays.
///
/// The caller's transaction must hold the locks on the jobs and their files.
pub(super) async fn fail_queued(db: &mut PgConnection, jobs: &[Uuid], failure: &QueuedFailure) -> sqlx::Result<()> {
    sqlx::query_file!(
        "sql/fail_queued.sql",
        jobs,
        failure.code.as_str(),
        failure.step.map(|step| step.as_str()),
        failure.message,
    )
    .execute(db)
    .await?;
    Ok(())
}
