//! Whose fault a failed call is: the document's, or that of the dependency that was called.
//!
//! A file fails only for what is its own. While a dependency fails for all, its jobs wait and use no attempt. A document on
//! which a dependency fails while it works for others uses its attempts, and is not held for ever.

use assay_core::{
    code::{Class, Code},
    job_error::{FailedCall, JobError},
    retry::RetryDecision,
    settlement::SettleOutcome,
};

use crate::{pipeline::run::Run, services::Services};

/// Holds after which a job ends whose dependency works for others after each of them.
const MAX_OWN_HOLDS: i64 = 3;
/// Stored with such a hold: it tells it from the holds of an outage.
const WORKS_FOR_OTHERS: &str = "it works for other documents";

/// A decision with the failure's message.
pub(super) struct Judged {
    pub decision: RetryDecision,
    pub message: String,
}

/// Corrects a decision that only the document's own fault justifies.
pub(super) async fn judge(services: &Services, run: &Run<'_>, error: &JobError, decision: RetryDecision) -> Judged {
    let message = error.chain();
    let Some(FailedCall { dependency, begun }) = &error.call else { return Judged { decision, message } };
    if let (RetryDecision::Retry(_), Some(answer)) = (decision, &error.unreadable)
        && was_received(services, run, error.code, answer).await
    {
        // The model gives what it gave before, and each time it is paid for.
        return Judged { decision: RetryDecision::Fail, message };
    }
    match decision {
        // The last attempt, or the last snooze, of a failure that may be the dependency's.
        RetryDecision::Fail if matches!(error.class(), Class::Retry | Class::Snooze) => {
            if services.inquiries.works(dependency, *begun).await {
                return Judged { decision, message };
            }
            let wait = services.config.retry.hold_wait(rand::random());
            Judged {
                decision: RetryDecision::Hold(wait),
                message: format!("{message}; {dependency} works for no document"),
            }
        }
        RetryDecision::Hold(_) if !error.is_held() && services.inquiries.works(dependency, *begun).await => {
            let (job, life) = (run.claim.lease.job, run.claim.life);
            let held =
                services.database.count_attempts(job, life, SettleOutcome::Held, error.code, WORKS_FOR_OTHERS).await;
            let held = held.unwrap_or_else(|error| {
                tracing::debug!(%error, "the holds of a job were not counted");
                0
            });
            let decision = if held >= MAX_OWN_HOLDS { RetryDecision::Fail } else { decision };
            Judged { decision, message: format!("{message}; {WORKS_FOR_OTHERS}") }
        }
        _ => Judged { decision, message },
    }
}

/// Returns whether an earlier attempt of the job received the same unreadable answer.
async fn was_received(services: &Services, run: &Run<'_>, code: Code, answer: &str) -> bool {
    let (job, life) = (run.claim.lease.job, run.claim.life);
    let received = services.database.count_attempts(job, life, SettleOutcome::Retried, code, answer).await;
    // Without the count the job is only tried again.
    let times = received.unwrap_or_else(|error| {
        tracing::debug!(%error, "the earlier answers of a job were not counted");
        0
    });
    times > 0
}
