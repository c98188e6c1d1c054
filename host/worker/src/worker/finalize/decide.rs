//! Which settlement a result means.

use assay_core::{
    breaker::Dependency,
    code::Code,
    job_error::{JobError, Step},
    retry::{AttemptCounts, RetryDecision},
    settlement::{Failure, FileResult, Settlement},
    stop_reason::StopReason,
};

use super::raw_output::keep_raw_output;
use crate::{
    pipeline::{Run, RunError, RunResult},
    services::Services,
};

/// Decides how a claim is settled; none where the claim is not ours any more, so that there is nothing to write.
pub(super) async fn decide(services: &Services, run: &mut Run<'_>, result: RunResult) -> Option<Settlement> {
    Some(match result {
        Ok(()) => Settlement::succeeded(run.finished(), run.spent),
        Err(RunError::Stopped(StopReason::Stopping)) => Settlement::released(run.spent),
        Err(RunError::Stopped(StopReason::Cancelled)) => cancelled(services, run).await,
        Err(RunError::Stopped(StopReason::Lost)) => return None,
        Err(RunError::Job { step, error }) => failed(services, run, step, error).await,
    })
}

/// Decides what becomes of a failed attempt; where the job ends, its answers are kept first.
pub(super) async fn failed(services: &Services, run: &mut Run<'_>, step: Step, error: JobError) -> Settlement {
    let error = match step {
        Step::Settle => services.breakers.held_where_open(&Dependency::Database, error),
        _ => error,
    };
    let tries = AttemptCounts {
        attempts: run.claim.attempts,
        max_attempts: run.claim.max_attempts,
        snoozes: run.claim.snoozes,
    };
    let failure = Failure { code: error.code, step, message: error.chain() };
    match services.config.retry.decide(error.class(), tries, error.retry_after, rand::random()) {
        RetryDecision::Retry(wait) => Settlement::retried(failure, wait, run.spent),
        RetryDecision::Snooze(wait) => Settlement::snoozed(failure, wait, run.spent),
        RetryDecision::Hold(wait) => Settlement::held(failure, wait, run.spent),
        RetryDecision::Fail => {
            let raw_output_key = keep_raw_output(services, run, error.code).await;
            let result = FileResult { report_key: None, raw_output_key, ..run.versions() };
            Settlement::failed(failure, result, run.spent)
        }
    }
}

/// The end of a job that somebody asked for; its answers are kept as at any other end.
pub(super) async fn cancelled(services: &Services, run: &mut Run<'_>) -> Settlement {
    let error = JobError::new(Code::Cancelled, "cancel the job: somebody asked for its end");
    failed(services, run, Step::Cancel, error).await
}
