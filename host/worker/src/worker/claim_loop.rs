//! The claim loop: as many jobs as there are free slots, each run in a task of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_core::{
    breaker::Dependency,
    claim::{Claim, QueuePosition},
    serving::Serving,
};
use assay_db::Listener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    breakers::Probe,
    releases::shadow::Shadows,
    services::Services,
    worker::{
        active_claims::ActiveClaims,
        claim_cursor::ClaimCursor,
        heartbeat::Heartbeat,
        slot::{finished, reap_finished, run_job},
        start::Worker,
    },
};

/// While jobs are plenty, freed slots are filled together: one claim for several jobs saves commits.
const GATHER: Duration = Duration::from_millis(5);
/// What goes on beside the jobs.
pub(super) struct Beside<'a> {
    pub(super) heartbeat: &'a Heartbeat,
    pub(super) held: &'a ActiveClaims,
    pub(super) listener: &'a Listener,
    pub(super) shadows: &'a Arc<Shadows>,
}

impl Worker {
    /// Claims and runs until `drain`, as long as the heartbeat is `alive`.
    pub(super) async fn work(
        &self,
        Beside { heartbeat, held, listener, shadows }: &Beside<'_>,
        drain: &CancellationToken,
        alive: &impl Fn() -> bool,
        jobs: &mut JoinSet<()>,
    ) {
        let started = Instant::now();
        let mut plenty = false;
        let mut looked: Option<Instant> = None;
        let mut front = ClaimCursor::default();
        while alive() {
            // Interest first, query second: what arrives in between wakes us.
            let mut woken = std::pin::pin!(listener.woken());
            woken.as_mut().enable();
            let free = self.config.concurrency - jobs.len();
            let beating = self.beats(heartbeat, held.last_beat().unwrap_or(started));
            if free > 0 && beating && !drain.is_cancelled() {
                // A burst of notifications is one look at the queue, not a hundred.
                if let Some(rest) = looked.and_then(|looked| GATHER.checked_sub(looked.elapsed())) {
                    tokio::time::sleep(rest).await;
                }
                let sent = Instant::now();
                looked = Some(sent);
                let taken = self.take(free, &mut front).await;
                plenty = taken.len() == free;
                for (claim, probe) in taken {
                    let held = held.hold(claim.lease, heartbeat.trusted_until(sent));
                    let span = tracing::info_span!(
                        "job",
                        job.id = %claim.lease.job,
                        file.id = %claim.file.id,
                        attempt = claim.attempts,
                        prompt.version = tracing::field::Empty
                    );
                    jobs.spawn(
                        run_job(self.services.clone(), claim, probe, held, Arc::clone(shadows)).instrument(span),
                    );
                }
                self.show(jobs.len(), false);
            }
            // What the last look found says nothing once looking has stopped: only the poll brings the next one then.
            plenty &= beating;
            let poll = self.config.poll.mul_f64(rand::random_range(0.9..1.1));
            tokio::select! {
                // In this order: that there is something new must not be missed because a slot is free, too.
                biased;
                () = drain.cancelled() => return,
                () = woken => front.forget(),
                () = tokio::time::sleep(poll) => front.forget(),
                // A freed slot is a reason to look only when the last look did not find the end of the queue.
                () = self.slots_free(jobs), if plenty || jobs.len() == self.config.concurrency => {}
            }
            reap_finished(jobs);
        }
    }

    /// Completes when a slot has become free, and a few more where they come at once.
    async fn slots_free(&self, jobs: &mut JoinSet<()>) {
        if jobs.len() == self.config.concurrency {
            finished(jobs.join_next().await);
        }
        let enough = self.config.concurrency.div_ceil(4);
        let gather = async {
            while self.config.concurrency - jobs.len() < enough && !jobs.is_empty() {
                finished(jobs.join_next().await);
            }
        };
        // Running out of time is as good a reason to claim as having enough slots.
        let _timed_out = tokio::time::timeout(GATHER, gather).await;
    }

    /// Whether leases are renewed; that they are not is told of once.
    fn beats(&self, heartbeat: &Heartbeat, last_beat: Instant) -> bool {
        let regular = heartbeat.is_regular(last_beat);
        let mut state = self.state.lock();
        match (regular, state.beats_failing_since) {
            (true, Some(_)) => {
                state.beats_failing_since = None;
                tracing::info!("leases are renewed again");
            }
            (false, None) => {
                state.beats_failing_since = Some(last_beat);
                tracing::error!("claiming no jobs: their leases could not be renewed");
            }
            _ => {}
        }
        regular
    }

    /// Claims at most `free` jobs; those that are probes come with what they try. `front` tells where the queue is looked at, and is
    /// told what was found.
    async fn take(&self, free: usize, front: &mut ClaimCursor) -> Vec<(Claim, Option<Probe>)> {
        let breakers = &self.services.breakers;
        self.probe_bucket();
        let serving = self.services.guests.serving();
        let offer = breakers.claimable(&serving.digests);
        // While the database is away, the claim is its probe.
        let free = if breakers.is_open(&Dependency::Database) { free.min(1) } else { free };
        let mut taken = Vec::new();
        // Probes first: what other releases have waiting would take every slot.
        for (dependencies, digests) in offer.probes {
            if taken.len() == free {
                break;
            }
            let serving = Serving { digests, ..serving.clone() };
            let claims = self.claim(&serving, 1, None).await;
            taken.extend(claims.into_iter().map(|claim| (claim, Some(breakers.begin_probe(dependencies.clone())))));
        }
        let left = free - taken.len();
        if left > 0 && !offer.digests.is_empty() {
            let serving = Serving { digests: offer.digests, ..serving };
            let from = front.from(self.config.poll);
            let claims = self.claim(&serving, left, from).await;
            front.found(from, claims.iter().map(|claim| claim.position).min());
            taken.extend(claims.into_iter().map(|claim| (claim, None)));
        }
        taken
    }

    /// Finds out whether the bucket is back. It takes no job, so it needs no slot either.
    fn probe_bucket(&self) {
        let breakers = &self.services.breakers;
        if !breakers.probe_is_due(&Dependency::Bucket) {
            return;
        }
        let probe = breakers.begin_probe(vec![Dependency::Bucket]);
        let (breakers, objects) = (breakers.clone(), self.services.objects.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            let _until_told = probe;
            let result = objects.check_read_write().await.map_err(|error| error.for_write());
            if let Err(error) = breakers.record(&Dependency::Bucket, true, begun, result) {
                let error = error.chain();
                tracing::warn!(error, "the bucket is still away");
            }
        });
    }

    /// One claim; a database that does not answer is told of once, and then asked again at the next poll.
    async fn claim(&self, serving: &Serving, slots: usize, from: Option<QueuePosition>) -> Vec<Claim> {
        let begun = Instant::now();
        let Services { database, breakers, .. } = &*self.services;
        let claim = async {
            // A probe tries both: a connection of the pool may be older than the password that keeps new ones out.
            if breakers.is_open(&Dependency::Database) {
                database.check_login().await?;
            }
            database.claim(&self.config.id, serving, slots, self.config.lease, from).await
        };
        let result = claim.await;
        breakers.record_database(&result, true, begun);
        let mut state = self.state.lock();
        match result {
            Ok(claims) => {
                if state.claims_failing_since.take().is_some() {
                    tracing::info!("claiming jobs again");
                }
                self.services.metrics.claims.inc_by(claims.len() as u64);
                for claim in &claims {
                    self.services.metrics.pickup_lag.observe(claim.lag.as_secs_f64());
                }
                claims
            }
            Err(error) => {
                if state.claims_failing_since.is_none() {
                    tracing::error!(%error, "claim jobs");
                    state.claims_failing_since = Some(Instant::now());
                }
                Vec::new()
            }
        }
    }
}
