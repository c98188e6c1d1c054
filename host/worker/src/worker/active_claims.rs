//! The claims of this worker: what the heartbeat renews, and how a run learns that it must stop.

use std::{collections::HashMap, sync::Arc, time::Instant};

use assay_core::{ids::JobId, lease::Lease, stop_reason::StopReason};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The claims of the jobs in slots. Cheap to clone; shared by slots and heartbeat.
#[derive(Clone, Debug, Default)]
pub struct ActiveClaims {
    claims: Arc<Mutex<HashMap<JobId, ActiveClaim>>>,
    /// When the last heartbeat that the database answered was sent.
    last_beat: Arc<Mutex<Option<Instant>>>,
}

#[derive(Debug)]
struct ActiveClaim {
    lease: Lease,
    /// When the lease ends, at the earliest. By the monotonic clock, counted from before the renewing statement was sent.
    trusted_until: Instant,
    interrupt: watch::Sender<Option<StopReason>>,
}

/// Keeps a claim in the set. Dropping it takes the job out of the heartbeat.
#[derive(Debug)]
pub struct ClaimGuard {
    claims: ActiveClaims,
    lease: Lease,
    interrupted: watch::Receiver<Option<StopReason>>,
}

impl ActiveClaims {
    /// Adds a claim to the set.
    pub fn hold(&self, lease: Lease, trusted_until: Instant) -> ClaimGuard {
        let (interrupt, interrupted) = watch::channel(None);
        self.claims.lock().insert(lease.job, ActiveClaim { lease, trusted_until, interrupt });
        ClaimGuard { claims: self.clone(), lease, interrupted }
    }

    /// Removes a claim, but no later claim of the same job.
    fn remove(&self, lease: Lease) -> Option<ActiveClaim> {
        let mut claims = self.claims.lock();
        claims.get(&lease.job).is_some_and(|entry| entry.lease == lease).then(|| claims.remove(&lease.job))?
    }

    /// Returns the leases that the next heartbeat renews.
    pub fn leases(&self) -> Vec<Lease> {
        self.claims.lock().values().map(|entry| entry.lease).collect()
    }

    /// Returns when the last heartbeat that the database answered was sent.
    pub fn last_beat(&self) -> Option<Instant> {
        *self.last_beat.lock()
    }

    /// Records a heartbeat that was sent at `sent` and answered.
    pub fn record_beat(&self, sent: Instant) {
        *self.last_beat.lock() = Some(sent);
    }

    /// Applies the answer of a heartbeat. Renews the claims in `kept`, cancels those whose value is true, and interrupts the rest of
    /// `asked` as lost. Returns how many were lost.
    pub fn apply_renewal(&self, asked: &[Lease], kept: &HashMap<JobId, bool>, trusted_until: Instant) -> usize {
        let mut claims = self.claims.lock();
        let mut lost = 0;
        for lease in asked {
            let Some(entry) = claims.get_mut(&lease.job).filter(|entry| entry.lease == *lease) else {
                continue;
            };
            let Some(cancel) = kept.get(&lease.job) else {
                lost += 1;
                entry.interrupt.send_replace(Some(StopReason::Lost));
                continue;
            };
            entry.trusted_until = trusted_until;
            if *cancel {
                entry.interrupt_first(StopReason::Cancelled);
            }
        }
        lost
    }

    /// Interrupts the claims whose lease may have run out. Returns how many.
    pub fn fence(&self, now: Instant) -> usize {
        let claims = self.claims.lock();
        let mut lost = 0;
        for entry in claims.values() {
            if entry.trusted_until <= now && entry.interrupt.borrow().is_none() {
                entry.interrupt.send_replace(Some(StopReason::Lost));
                lost += 1;
            }
        }
        lost
    }

    /// Returns the next moment at which [`Self::fence`] would interrupt a claim.
    pub fn next_fence(&self) -> Option<Instant> {
        let claims = self.claims.lock();
        claims.values().filter(|entry| entry.interrupt.borrow().is_none()).map(|entry| entry.trusted_until).min()
    }

    /// Interrupts every run, because the worker stops.
    pub fn interrupt_all(&self) {
        for entry in self.claims.lock().values() {
            entry.interrupt_first(StopReason::Stopping);
        }
    }
}

impl ActiveClaim {
    /// Interrupts the run, unless it was interrupted before.
    fn interrupt_first(&self, why: StopReason) {
        self.interrupt.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert(why);
            first
        });
    }
}

impl ClaimGuard {
    /// Completes when the run must stop.
    pub async fn interrupted(&self) -> StopReason {
        let mut interrupted = self.interrupted.clone();
        let reason = interrupted.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        // The sender is in the set as long as this claim is. Without it, the lease is not renewed.
        reason.unwrap_or(StopReason::Lost)
    }

    /// Takes the job out of the heartbeat, which would wait behind the settlement. Returns until when the claim can be trusted
    /// without a heartbeat.
    pub fn begin_settlement(&self) -> Instant {
        let removed = self.claims.remove(self.lease);
        removed.map_or_else(Instant::now, |entry| entry.trusted_until)
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        self.claims.remove(self.lease);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use assay_core::lease::LeaseToken;
    use uuid::Uuid;

    use super::*;

    fn lease() -> Lease {
        Lease { job: JobId(Uuid::new_v4()), token: LeaseToken(1) }
    }

    #[tokio::test]
    async fn a_job_missing_from_the_renewal_is_lost() {
        let claims = ActiveClaims::default();
        let (mine, theirs) = (lease(), lease());
        let until = Instant::now() + Duration::from_secs(30);
        let (kept, gone) = (claims.hold(mine, until), claims.hold(theirs, until));
        assert_eq!(claims.apply_renewal(&[mine, theirs], &HashMap::from([(mine.job, false)]), until), 1);
        assert_eq!(gone.interrupted().await, StopReason::Lost);
        assert!(kept.interrupted.borrow().is_none());
    }

    #[tokio::test]
    async fn a_cancel_request_in_the_renewal_cancels_and_renews() {
        let claims = ActiveClaims::default();
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(30));
        let lease = lease();
        let guard = claims.hold(lease, now);
        assert_eq!(claims.apply_renewal(&[lease], &HashMap::from([(lease.job, true)]), later), 0);
        assert_eq!(guard.interrupted().await, StopReason::Cancelled);
        claims.interrupt_all();
        assert_eq!(guard.interrupted().await, StopReason::Cancelled, "a stop changes nothing about it");
        assert_eq!(guard.begin_settlement(), later);
    }

    #[tokio::test]
    async fn a_claim_that_is_not_renewed_is_given_up_in_time() {
        let claims = ActiveClaims::default();
        let until = Instant::now();
        let guard = claims.hold(lease(), until);
        assert_eq!(claims.next_fence(), Some(until));
        assert_eq!(claims.fence(until), 1);
        assert_eq!(claims.fence(until), 0, "once is enough");
        assert_eq!(guard.interrupted().await, StopReason::Lost);
    }

    #[test]
    fn a_settling_job_is_in_no_heartbeat() {
        let claims = ActiveClaims::default();
        let guard = claims.hold(lease(), Instant::now());
        guard.begin_settlement();
        assert!(claims.leases().is_empty());
    }

    #[test]
    fn the_end_of_a_claim_keeps_a_later_claim_of_the_job() {
        let claims = ActiveClaims::default();
        let first = lease();
        let second = Lease { token: LeaseToken(2), ..first };
        let old = claims.hold(first, Instant::now());
        let _new = claims.hold(second, Instant::now());
        old.begin_settlement();
        drop(old);
        assert_eq!(claims.leases(), [second]);
    }

    #[tokio::test]
    async fn a_stop_does_not_give_a_lost_claim_back() {
        let claims = ActiveClaims::default();
        let guard = claims.hold(lease(), Instant::now());
        claims.fence(Instant::now());
        claims.interrupt_all();
        assert_eq!(guard.interrupted().await, StopReason::Lost);
    }
}
