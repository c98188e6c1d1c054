//! The end of a job whose rows cannot be read: alone, so that its neighbours run.

use std::time::Instant;

use assay_core::{
    attempt_usage::AttemptUsage,
    code::Code,
    job_error::Step,
    settlement::{Failure, FileResult, Settlement},
};
use assay_db::queue::{RefusedJob, UnreadableJob};

use crate::{
    metrics::OutcomeLabels,
    services::Services,
    worker::finalize::write::{WriteOutcome, write},
};

/// Fails a claimed job that cannot run, because a column cannot be read.
pub async fn settle_unreadable(services: &Services, job: UnreadableJob, trusted_until: Instant) {
    let column = job.column.0;
    let failure = Failure {
        code: Code::RowUnreadable,
        step: Step::ReadRow,
        message: format!("read the job: {column} has a value that cannot be read"),
    };
    let settlement = Settlement::failed(failure, FileResult::default(), AttemptUsage::default());
    let (job_id, file_id) = (job.lease.job, job.file);
    match write(services, job.lease, &settlement, trusted_until).await {
        WriteOutcome::Committed => {
            let labels = OutcomeLabels { outcome: settlement.outcome.as_str(), code: Code::RowUnreadable.as_str() };
            services.metrics.outcomes.get_or_create(&labels).inc();
            tracing::error!(
                job.id = %job_id,
                file.id = %file_id,
                column,
                code = Code::RowUnreadable.as_str(),
                "ended a job whose row cannot be read"
            );
        }
        // The reaper takes the job back, and the next claim meets the same column.
        outcome => tracing::error!(
            job.id = %job_id,
            file.id = %file_id,
            column,
            ?outcome,
            "a row cannot be read, and its job could not be settled"
        ),
    }
}

/// Names a job that the database refuses to claim.
pub fn log_refused(RefusedJob { job, sqlstate, failed }: &RefusedJob) {
    let code = Code::RowUnreadable.as_str();
    if *failed {
        tracing::error!(job.id = %job, sqlstate, code, "ended a job that the database refuses to claim");
    } else {
        tracing::error!(
            event = "row_refused",
            job.id = %job,
            sqlstate,
            code,
            "the database refuses to claim the job, and it stays queued"
        );
    }
}
