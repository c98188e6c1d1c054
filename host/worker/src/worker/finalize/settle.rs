//! From a result to a settled claim.

use std::time::Instant;

use assay_core::{
    job_error::Step,
    settlement::{SettleOutcome, Settlement},
};

use super::{
    decide::{cancelled, decide, failed},
    write::{Written, write},
};
use crate::{
    breakers::Probe,
    pipeline::{Run, RunResult},
    services::Services,
    worker::active_claims::ClaimGuard,
};

/// Decides how a claim ends and settles it. Returns what was written; none where the claim was lost or the answer never came.
pub async fn finalize(
    services: &Services,
    run: &mut Run<'_>,
    result: RunResult,
    probe: Option<Probe>,
    held: &ClaimGuard,
) -> Option<Settlement> {
    // Beats go on until the decision is made: keeping the answers of a failed job may take its time.
    let settlement = decide(services, run, result).await;
    // The probe has made all its calls.
    drop(probe);
    let trusted_until = held.begin_settlement();
    let Some(settlement) = settlement else {
        tracing::warn!("job dropped: its claim is lost");
        return None;
    };
    settle(services, run, settlement, trusted_until).await
}

/// Settles a claim and tells which outcome was written; nothing where the claim was lost or the answer never came.
///
/// Ambiguous answers are resolved by reading back. Where a success is refused, the failure is settled under the same
/// token; where somebody has asked for the job's end, it ends instead of waiting. Only when a settlement that is no success touched
/// its row can a success not commit any more, and only then is the report deleted.
async fn settle(
    services: &Services,
    run: &mut Run<'_>,
    settlement: Settlement,
    trusted_until: Instant,
) -> Option<Settlement> {
    let lease = run.claim.lease;
    let outcome = settlement.outcome;
    let mut settled = match write(services, lease, &settlement, trusted_until).await {
        Written::Refused(error) if outcome == SettleOutcome::Succeeded => {
            tracing::error!(%error, outcome = outcome.as_str(), "settle the job");
            let failure = failed(services, run, Step::Settle, error.into()).await;
            (write(services, lease, &failure, trusted_until).await, failure)
        }
        written => (written, settlement),
    };
    if matches!(settled.0, Written::CancelRequested) {
        let cancelled = cancelled(services, run).await;
        settled = (write(services, lease, &cancelled, trusted_until).await, cancelled);
    }
    match settled {
        (Written::Done, settlement) => {
            if settlement.outcome != SettleOutcome::Succeeded {
                discard_report(services, run).await;
            }
            Some(settlement)
        }
        // An end is written whoever asks for another one, so there is no second request.
        (Written::Lost | Written::CancelRequested, settlement) => {
            services.metrics.lost_leases.inc();
            let outcome = settlement.outcome.as_str();
            tracing::warn!(outcome, "the job was not settled: its claim is lost");
            None
        }
        (Written::Unknown(error) | Written::Refused(error), settlement) => {
            // Nothing is deleted: the row may come to point at what was written. The reaper takes the job back.
            tracing::error!(%error, outcome = settlement.outcome.as_str(), "settle the job: given up");
            None
        }
    }
}

/// Deletes the report of a run that was settled as anything but a success, so that no row can come to point at it.
/// Best effort: what is left is told in one event and found by the sweeper.
async fn discard_report(services: &Services, run: &mut Run<'_>) {
    let Some(key) = run.report_key.take() else { return };
    let file = &run.claim.file;
    let Err(error) = services.objects.delete(&file.bucket, &key).await else { return };
    services.metrics.orphans.inc();
    tracing::error!(event = "orphan_report_object", file.id = %file.id, object.key = key, %error, "report without a row");
}
