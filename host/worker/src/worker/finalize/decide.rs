//! Decides which settlement a result means.

use assay_core::{
    breaker::Dependency,
    code::Code,
    job_error::{JobError, Step},
    retry::{AttemptCounts, RetryDecision},
    settlement::{Failure, FileResult, Settlement},
    stop_reason::StopReason,
};

use crate::{
    pipeline::run::{Run, RunError, RunResult},
    services::Services,
    worker::finalize::{
        judge::{Judged, judge},
        raw_output::keep_raw_output,
    },
};

/// Decides how a claim is settled. Returns `None` when the claim is lost, so that nothing may be written.
pub(super) async fn decide(services: &Services, run: &mut Run<'_>, result: RunResult) -> Option<Settlement> {
    Some(match result {
        Ok(()) => Settlement::succeeded(run.finished(), run.spent),
        Err(RunError::Stopped(StopReason::Stopping)) => Settlement::released(run.spent),
        Err(RunError::Stopped(StopReason::Cancelled)) => cancelled(services, run).await,
        Err(RunError::Stopped(StopReason::Lost)) => return None,
        Err(RunError::Job { step, error }) => failed(services, run, step, error).await,
    })
}

/// Decides how a failed attempt is settled. If the job ends, keeps its answers first.
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
    let decision = services.config.retry.decide(error.class(), tries, error.retry_after, rand::random());
    let Judged { decision, message } = judge(services, run, &error, decision).await;
    let failure = Failure { code: error.code, step, message };
    if !matches!(decision, RetryDecision::Fail) && !run.unreadable.is_empty() {
        // Paid for, so it is kept at once: the next attempt has a folder of its own.
        keep_raw_output(services, run, error.code).await;
    }
    match decision {
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

/// Decides the end of a job after a request to cancel it. Its answers are kept as at any other end.
pub(super) async fn cancelled(services: &Services, run: &mut Run<'_>) -> Settlement {
    let error = JobError::new(Code::Cancelled, "cancel the job: its end was requested");
    failed(services, run, Step::Cancel, error).await
}
