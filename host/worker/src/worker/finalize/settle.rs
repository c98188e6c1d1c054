//! Settles a claim: from the result of its run to the committed row.

use std::time::Instant;

use assay_core::{
    job_error::Step,
    settlement::{SettleOutcome, Settlement},
};

use crate::{
    pipeline::run::{Run, RunResult},
    services::Services,
    worker::{
        active_claims::ClaimGuard,
        finalize::{
            decide::{cancelled, decide, failed},
            write::{WriteOutcome, write},
        },
    },
};

/// Decides how a claim ends and settles it. Returns the committed settlement, or `None` when the claim was lost or the database
/// never answered.
pub async fn finalize(
    services: &Services,
    run: &mut Run<'_>,
    result: RunResult,
    guard: &ClaimGuard,
) -> Option<Settlement> {
    // Heartbeats go on during the decision: keeping the answers of a failed job may take long.
    let settlement = decide(services, run, result).await;
    let trusted_until = guard.begin_settlement();
    let Some(settlement) = settlement else {
        tracing::warn!("job dropped: its claim is lost");
        return None;
    };
    settle(services, run, settlement, trusted_until).await
}

/// Writes a settlement. Returns what was committed, or `None` when the claim was lost or the database never answered.
///
/// Ambiguous answers are resolved by reading back. After a refused success, the failure is settled under the same token. After a
/// request to cancel, the job ends instead of waiting. The report is deleted only after another settlement than a success
/// committed: from then on no success can commit.
async fn settle(
    services: &Services,
    run: &mut Run<'_>,
    settlement: Settlement,
    trusted_until: Instant,
) -> Option<Settlement> {
    let lease = run.claim.lease;
    let outcome = settlement.outcome;
    let mut settled = match write(services, lease, &settlement, trusted_until).await {
        WriteOutcome::Refused(error) if outcome == SettleOutcome::Succeeded => {
            tracing::error!(%error, outcome = outcome.as_str(), "settlement refused");
            let failure = failed(services, run, Step::Settle, error.into()).await;
            (write(services, lease, &failure, trusted_until).await, failure)
        }
        written => (written, settlement),
    };
    if matches!(settled.0, WriteOutcome::CancelRequested) {
        let cancelled = cancelled(services, run).await;
        settled = (write(services, lease, &cancelled, trusted_until).await, cancelled);
    }
    match settled {
        (WriteOutcome::Committed, settlement) => {
            if settlement.outcome != SettleOutcome::Succeeded {
                discard_report(services, run).await;
            }
            Some(settlement)
        }
        // A settlement that ends the job ignores requests to cancel, so there is no second one.
        (WriteOutcome::Lost | WriteOutcome::CancelRequested, settlement) => {
            services.metrics.lost_leases.inc();
            let outcome = settlement.outcome.as_str();
            tracing::warn!(outcome, "the job was not settled: its claim is lost");
            None
        }
        (WriteOutcome::Unknown(error) | WriteOutcome::Refused(error), settlement) => {
            // Nothing is deleted: the row may point at the report later. The reaper takes the job back.
            tracing::error!(%error, outcome = settlement.outcome.as_str(), "settlement given up");
            None
        }
    }
}

/// Deletes the report of a run that was not settled as a success. No row can point at it.
///
/// Best effort: a report that stays is logged in one event, and a sweep finds it.
async fn discard_report(services: &Services, run: &mut Run<'_>) {
    let Some(key) = run.report_key.take() else { return };
    let file = &run.claim.file;
    let Err(error) = services.objects.delete(&file.bucket, &key).await else { return };
    services.metrics.orphans.inc();
    tracing::error!(event = "orphan_report_object", file.id = %file.id, object.key = key, %error, "report without a row");
}
