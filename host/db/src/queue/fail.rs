//! Failing jobs that no worker has claimed, with their files.

use assay_core::{code::Code, job_error::Step};
use sqlx::PgConnection;
use uuid::Uuid;

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
