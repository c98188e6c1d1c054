//! One job in one slot: claim -> run -> finalize.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_core::{
    claim::Claim,
    code::{Class, Code},
    settlement::{SettleOutcome, Settlement},
};
use tokio::task::{JoinError, JoinSet};

use crate::{
    breakers::Probe,
    metrics::{Metrics, OutcomeLabels},
    pipeline::{self, Run},
    releases::shadow::{Case, Shadows},
    services::Services,
    worker::{active_claims::ClaimGuard, finalize::finalize},
};

/// Runs a claimed job and finalizes it; then, where a candidate stands in the shadow, leaves the job's answers to it.
pub(super) async fn run_job(
    services: Arc<Services>,
    claim: Claim,
    probe: Option<Probe>,
    held: ClaimGuard,
    shadows: Arc<Shadows>,
) {
    let started = Instant::now();
    tracing::debug!(lag_ms = claim.lag.as_millis() as u64, "job claimed");
    let candidate = services.guests.shadow_of(&claim.channel, &claim.guest_digest);
    let mut run = Run::new(&claim);
    run.probes = probe.as_ref().map(|probe| probe.dependencies.clone()).unwrap_or_default();
    run.kept = candidate.is_some().then(Box::default);
    let result = pipeline::run(&services, &mut run, held.interrupted()).await;
    // In a box, because it is not needed while the job runs.
    let Some(settled) = Box::pin(finalize(&services, &mut run, result, probe, &held)).await else {
        return;
    };
    record(&services.metrics, &settled, started.elapsed());
    if let Some(case) = candidate.and_then(|candidate| Case::of(candidate, &mut run, &settled)) {
        shadows.offer(case);
    }
}

/// Counts an outcome and tells of it: once, here, where it is final.
fn record(metrics: &Metrics, settled: &Settlement, elapsed: Duration) {
    let code = settled.failure.as_ref().map_or("", |failure| failure.code.as_str());
    let outcome = settled.outcome.as_str();
    metrics.outcomes.get_or_create(&OutcomeLabels { outcome, code }).inc();
    metrics.job_duration.observe(elapsed.as_secs_f64());
    let duration_ms = elapsed.as_millis() as u64;
    let Some(failure) = &settled.failure else {
        return tracing::info!(outcome, duration_ms, "job settled");
    };
    let (step, error) = (failure.step.as_str(), failure.message.as_str());
    let wait_ms = settled.wait.as_millis() as u64;
    match settled.outcome {
        // Told once, when its breaker opened.
        SettleOutcome::Held if failure.code.class() != Class::Hold => {
            tracing::warn!(outcome, code, step, error, wait_ms, duration_ms, "job held: what it needs is away");
        }
        // The operator's fault: nothing else will mend it.
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
        // Somebody asked for it.
        SettleOutcome::Failed if failure.code == Code::Cancelled => {
            tracing::warn!(outcome, code, step, error, duration_ms, "job settled")
        }
        SettleOutcome::Failed => {
            tracing::error!(outcome, code, step, error, duration_ms, "job settled")
        }
        _ => tracing::warn!(outcome, code, step, error, wait_ms, duration_ms, "job settled"),
    }
}

pub(super) fn reap_finished(jobs: &mut JoinSet<()>) {
    while let Some(job) = jobs.try_join_next() {
        finished(Some(job));
    }
}

/// A panic in a slot loses its job to the reaper, not the worker.
pub(super) fn finished(job: Option<Result<(), JoinError>>) {
    if let Some(Err(error)) = job
        && error.is_panic()
    {
        tracing::error!("a job panicked; it runs again when its lease ends");
    }
}
