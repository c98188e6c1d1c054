//! One job in one slot: claim -> run -> finalize.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_core::{
    claim::Claim,
    code::{Class, Code},
    settlement::{Failure, SettleOutcome, Settlement},
};
use tokio::task::{JoinError, JoinSet};

use crate::{
    metrics::{Metrics, OutcomeLabels},
    pipeline::{flow, run::Run},
    releases::shadow::{ShadowCase, Shadows},
    services::Services,
    worker::{active_claims::ClaimGuard, finalize::settle::finalize},
};

/// Runs a claimed job and finalizes it. If its channel has a candidate in the shadow, offers the job's answers to it.
pub async fn run_job(services: Arc<Services>, claim: Claim, guard: ClaimGuard, shadows: Arc<Shadows>) {
    let started = Instant::now();
    tracing::debug!(lag_ms = claim.lag.as_millis() as u64, "job claimed");
    let candidate = services.guests.shadow_of(&claim.channel, &claim.guest_digest);
    let mut run = Run::new(&claim);
    run.kept = candidate.is_some().then(Box::default);

    let result = flow::run(&services, &mut run, guard.interrupted()).await;

    // Boxed, so that its state takes no memory while the job runs.
    let Some(settlement) = Box::pin(finalize(&services, &mut run, result, &guard)).await else {
        return;
    };
    count(&services.metrics, &settlement, started.elapsed());
    log_settled(&settlement, started.elapsed());
    if let Some(case) = candidate.and_then(|candidate| ShadowCase::of(candidate, &mut run, &settlement)) {
        shadows.offer(case);
    }
}

fn count(metrics: &Metrics, settlement: &Settlement, elapsed: Duration) {
    let code = settlement.failure.as_ref().map_or("", |failure| failure.code.as_str());
    let outcome = settlement.outcome.as_str();
    metrics.outcomes.get_or_create(&OutcomeLabels { outcome, code }).inc();
    metrics.job_duration.observe(elapsed.as_secs_f64());
}

/// Logs an outcome once, where it is final.
fn log_settled(settlement: &Settlement, elapsed: Duration) {
    let (outcome, duration_ms) = (settlement.outcome.as_str(), elapsed.as_millis() as u64);
    let Some(Failure { code, step, message: error }) = &settlement.failure else {
        return tracing::info!(outcome, duration_ms, "job settled");
    };
    let (class, is_cancelled) = (code.class(), *code == Code::Cancelled);
    let (code, step) = (code.as_str(), step.as_str());
    let wait_ms = settlement.wait.as_millis() as u64;
    match settlement.outcome {
        // The fault itself was logged when its breaker opened.
        SettleOutcome::Held if class != Class::Hold => {
            tracing::warn!(outcome, code, step, error, wait_ms, duration_ms, "job held: what it needs is away");
        }
        SettleOutcome::Held => {
            tracing::error!(
                outcome,
                code,
                step,
                error,
                wait_ms,
                duration_ms,
                "job held: the operator has to act, see docs/errors.md"
            );
        }
        SettleOutcome::Failed if is_cancelled => {
            tracing::warn!(outcome, code, step, error, duration_ms, "job settled");
        }
        SettleOutcome::Failed => tracing::error!(outcome, code, step, error, duration_ms, "job settled"),
        _ => tracing::warn!(outcome, code, step, error, wait_ms, duration_ms, "job settled"),
    }
}

/// Takes every finished job out of the set.
pub fn collect_finished(jobs: &mut JoinSet<()>) {
    while let Some(job) = jobs.try_join_next() {
        log_panic(Some(job));
    }
}

/// Logs a panic of a job. The worker goes on, and the reaper takes the job back.
pub fn log_panic(job: Option<Result<(), JoinError>>) {
    if let Some(Err(error)) = job
        && error.is_panic()
    {
        tracing::error!("a job panicked; it runs again when its lease ends");
    }
}
