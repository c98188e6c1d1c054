//! The claims that this worker holds: what the heartbeat renews, and how a run learns that it must stop.

use std::{collections::HashMap, sync::Arc, time::Instant};

use assay_core::{ids::JobId, lease::Lease, stop_reason::StopReason};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The claims in hand. Cheap to clone; shared by slots and heartbeat.
#[derive(Clone, Debug, Default)]
pub struct ActiveClaims {
    claims: Arc<Mutex<HashMap<JobId, Entry>>>,
    /// When the last beat that the database answered was sent.
    beat: Arc<Mutex<Option<Instant>>>,
}

#[derive(Debug)]
struct Entry {
    lease: Lease,
    /// When the lease runs out as far as this machine can know: by the monotonic clock, counted from before the
    /// statement that renewed it was sent.
    trusted_until: Instant,
    interrupt: watch::Sender<Option<StopReason>>,
}

/// One claim in hand. Dropping it takes the job out of the heartbeat's set.
#[derive(Debug)]
pub struct ClaimGuard {
    claims: ActiveClaims,
    lease: Lease,
    interrupted: watch::Receiver<Option<StopReason>>,
}

impl ActiveClaims {
    /// Takes a claim into the set.
    pub fn hold(&self, lease: Lease, trusted_until: Instant) -> ClaimGuard {
        let (interrupt, interrupted) = watch::channel(None);
        self.claims.lock().insert(lease.job, Entry { lease, trusted_until, interrupt });
        ClaimGuard { claims: self.clone(), lease, interrupted }
    }

    /// Takes a claim out of the set, and no later claim of the same job.
    fn remove(&self, lease: Lease) -> Option<Entry> {
        let mut claims = self.claims.lock();
        claims.get(&lease.job).is_some_and(|entry| entry.lease == lease).then(|| claims.remove(&lease.job))?
    }

    /// What the next beat renews.
    pub fn leases(&self) -> Vec<Lease> {
        self.claims.lock().values().map(|entry| entry.lease).collect()
    }

    /// When the last beat that the database answered was sent; none before the first.
    pub fn last_beat(&self) -> Option<Instant> {
        *self.beat.lock()
    }

    /// Notes a beat that was sent at `sent` and answered.
    pub fn beat(&self, sent: Instant) {
        *self.beat.lock() = Some(sent);
    }

    /// Takes over the answer of a beat: `kept` are renewed, and where somebody has asked for it, cancelled; the rest of `asked` is
    /// lost. Tells how many were lost.
    pub fn renewed(&self, asked: &[Lease], kept: &HashMap<JobId, bool>, trusted_until: Instant) -> usize {
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

    /// Gives up the claims whose lease may have run out without our knowing. Tells how many.
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

    /// The next moment at which [`Self::fence`] would give up a claim.
    pub fn next_fence(&self) -> Option<Instant> {
        let claims = self.claims.lock();
        claims.values().filter(|entry| entry.interrupt.borrow().is_none()).map(|entry| entry.trusted_until).min()
    }

    /// Tells every run to stop, because the worker does.
    pub fn interrupt_all(&self) {
        for entry in self.claims.lock().values() {
            entry.interrupt_first(StopReason::Stopping);
        }
    }
}

impl Entry {
    /// Tells the run to stop, unless it was told so before.
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
        // The sender lives in the set as long as this claim does; without it, nobody renews the lease any more.
        reason.unwrap_or(StopReason::Lost)
    }

    /// Takes the job out of the heartbeat's set, because its settlement starts: a beat would wait behind it. Tells until
    /// when the claim can be trusted without a beat.
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
    async fn a_job_that_a_beat_does_not_bring_back_is_lost() {
        let claims = ActiveClaims::default();
        let (mine, theirs) = (lease(), lease());
        let until = Instant::now() + Duration::from_secs(30);
        let (kept, gone) = (claims.hold(mine, until), claims.hold(theirs, until));
        assert_eq!(claims.renewed(&[mine, theirs], &HashMap::from([(mine.job, false)]), until), 1);
        assert_eq!(gone.interrupted().await, StopReason::Lost);
        assert!(kept.interrupted.borrow().is_none());
    }

    #[tokio::test]
    async fn a_job_that_a_beat_brings_back_with_a_request_to_cancel_is_cancelled_and_its_lease_renewed() {
        let claims = ActiveClaims::default();
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(30));
        let lease = lease();
        let held = claims.hold(lease, now);
        assert_eq!(claims.renewed(&[lease], &HashMap::from([(lease.job, true)]), later), 0);
        assert_eq!(held.interrupted().await, StopReason::Cancelled);
        claims.interrupt_all();
        assert_eq!(held.interrupted().await, StopReason::Cancelled, "a stop changes nothing about it");
        assert_eq!(held.begin_settlement(), later);
    }

    #[tokio::test]
    async fn a_claim_that_nobody_renews_is_given_up_in_time() {
        let claims = ActiveClaims::default();
        let until = Instant::now();
        let held = claims.hold(lease(), until);
        assert_eq!(claims.next_fence(), Some(until));
        assert_eq!(claims.fence(until), 1);
        assert_eq!(claims.fence(until), 0, "once is enough");
        assert_eq!(held.interrupted().await, StopReason::Lost);
    }

    #[test]
    fn a_settling_job_is_in_no_beat() {
        let claims = ActiveClaims::default();
        let held = claims.hold(lease(), Instant::now());
        held.begin_settlement();
        assert!(claims.leases().is_empty());
    }

    #[test]
    fn the_end_of_a_claim_leaves_a_later_claim_of_the_same_job_alone() {
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
    async fn a_lost_claim_is_not_given_back_by_a_stop() {
        let claims = ActiveClaims::default();
        let held = claims.hold(lease(), Instant::now());
        claims.fence(Instant::now());
        claims.interrupt_all();
        assert_eq!(held.interrupted().await, StopReason::Lost);
    }
}
