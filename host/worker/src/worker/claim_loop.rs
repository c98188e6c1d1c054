//! The claim loop: claims as many jobs as there are free slots, and runs each in its own task.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_core::{breaker::Dependency, claim::QueuePosition, serving::Serving};
use assay_db::{
    Listener,
    queue::{ClaimBatch, RefusedJob},
};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    releases::shadow::Shadows,
    services::Services,
    worker::{
        active_claims::ActiveClaims,
        claim_cursor::ClaimCursor,
        config::WorkerConfig,
        finalize::unreadable::{log_refused, settle_unreadable},
        heartbeat::Heartbeat,
        slot::{collect_finished, log_panic, run_job},
        state::WorkerState,
    },
};

/// Time in which freed slots are gathered: one claim for several jobs saves commits.
const GATHER_SLOTS_TIME: Duration = Duration::from_millis(5);

/// Claims jobs into slots.
pub(super) struct ClaimLoop {
    pub services: Arc<Services>,
    pub config: WorkerConfig,
    pub state: Arc<Mutex<WorkerState>>,
    pub heartbeat: Heartbeat,
    pub active_claims: ActiveClaims,
    pub listener: Listener,
    pub shadows: Arc<Shadows>,
}

impl ClaimLoop {
    /// Claims and runs jobs until `drain`, while the heartbeat's thread is `alive`.
    pub(super) async fn run(&self, drain: &CancellationToken, alive: impl Fn() -> bool, jobs: &mut JoinSet<()>) {
        let started = Instant::now();
        let mut cursor = ClaimCursor::default();
        let mut last_claim: Option<Instant> = None;
        let mut more_due = false;
        while alive() {
            // Register first, query second: a job that arrives in between wakes the loop.
            let mut woken = std::pin::pin!(self.listener.woken());
            woken.as_mut().enable();
            // Also without a free slot: an inquiry takes no job.
            self.services.inquiries.ask_due();
            let free = self.config.concurrency - jobs.len();
            let heartbeat_ok = self.heartbeat_ok(self.active_claims.last_beat().unwrap_or(started));
            if free > 0 && heartbeat_ok && !drain.is_cancelled() {
                // A burst of notifications causes one claim, not a hundred.
                if let Some(rest) = last_claim.and_then(|at| GATHER_SLOTS_TIME.checked_sub(at.elapsed())) {
                    tokio::time::sleep(rest).await;
                }
                last_claim = Some(Instant::now());
                more_due = self.fill_slots(free, &mut cursor, jobs).await;
            }
            // Without heartbeats only the poll may cause the next claim.
            more_due &= heartbeat_ok;
            let poll = self.config.poll.mul_f64(rand::random_range(0.9..1.1));
            tokio::select! {
                // In this order: a free slot must not hide a notification.
                biased;
                () = drain.cancelled() => return,
                () = woken => cursor.reset(),
                () = tokio::time::sleep(poll) => cursor.reset(),
                // A freed slot causes a claim only if the last claim did not reach the end of the queue.
                () = self.slots_free(jobs), if more_due || jobs.len() == self.config.concurrency => {}
            }
            collect_finished(jobs);
        }
    }

    /// Claims at most `free` jobs and starts them. Returns whether more jobs may be due.
    async fn fill_slots(&self, free: usize, cursor: &mut ClaimCursor, jobs: &mut JoinSet<()>) -> bool {
        let sent = Instant::now();
        let batch = self.claim_jobs(free, cursor).await;
        let more_due = batch.len() >= free;
        for claim in batch.claims {
            let guard = self.active_claims.hold(claim.lease, self.heartbeat.trusted_until(sent));
            let span = tracing::info_span!(
                "job",
                job.id = %claim.lease.job,
                file.id = %claim.file.id,
                attempt = claim.attempts,
                prompt.version = tracing::field::Empty
            );
            let job = run_job(self.services.clone(), claim, guard, self.shadows.clone());
            jobs.spawn(job.instrument(span));
        }
        self.publish_slots(jobs.len(), false);
        more_due
    }

    /// Completes when a slot has become free, and a few more if they do so at once.
    async fn slots_free(&self, jobs: &mut JoinSet<()>) {
        if jobs.len() == self.config.concurrency {
            log_panic(jobs.join_next().await);
        }
        let enough = self.config.concurrency.div_ceil(4);
        let gather = async {
            while self.config.concurrency - jobs.len() < enough && !jobs.is_empty() {
                log_panic(jobs.join_next().await);
            }
        };
        let _timed_out = tokio::time::timeout(GATHER_SLOTS_TIME, gather).await;
    }

    /// Returns whether heartbeats succeed; logs each change once.
    fn heartbeat_ok(&self, last_beat: Instant) -> bool {
        let regular = self.heartbeat.is_regular(last_beat);
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

    /// Claims at most `free` jobs whose dependencies are available.
    async fn claim_jobs(&self, free: usize, cursor: &mut ClaimCursor) -> ClaimBatch {
        let breakers = &self.services.breakers;
        let serving = self.services.guests.serving();
        let digests = breakers.claimable(&serving.digests);
        if digests.is_empty() {
            return ClaimBatch::default();
        }
        // While the database is down, the claim itself asks it.
        let free = if breakers.is_open(&Dependency::Database) { free.min(1) } else { free };
        let from = cursor.position(self.config.poll);
        let batch = self.claim(&Serving { digests, ..serving }, free, from).await;
        let first = batch.claims.iter().map(|claim| claim.position).min();
        cursor.advance(from, first.filter(|_| !batch.past_backlog));
        batch
    }

    /// Sends one claim. Returns no jobs when the database does not answer, and logs that once.
    async fn claim(&self, serving: &Serving, slots: usize, from: Option<QueuePosition>) -> ClaimBatch {
        let begun = Instant::now();
        let Services { database, breakers, .. } = &*self.services;
        let claim = async {
            // Tries both: a pooled connection may be older than the password that keeps new ones out.
            if breakers.is_open(&Dependency::Database) {
                database.check_login().await?;
            }
            let claim = async || database.claim(&self.config.id, serving, slots, self.config.lease, from).await;
            match claim().await {
                // It claimed nothing: its session was of no use, or another transaction was in the way.
                Err(error) if error.is_repeatable() => claim().await,
                claimed => claimed,
            }
        };
        let result = claim.await;
        breakers.record_database(&result, true, begun);
        if let Ok(batch) = &result {
            self.end_bad_rows(batch, begun);
        }
        let mut state = self.state.lock();
        match result {
            Ok(batch) => {
                if state.claims_failing_since.take().is_some() {
                    tracing::info!("claiming jobs again");
                }
                self.services.metrics.claims.inc_by(batch.len() as u64);
                for claim in &batch.claims {
                    self.services.metrics.pickup_lag.observe(claim.lag.as_secs_f64());
                }
                batch
            }
            Err(error) => {
                if state.claims_failing_since.is_none() {
                    tracing::error!(%error, "claim failed");
                    state.claims_failing_since = Some(Instant::now());
                }
                ClaimBatch::default()
            }
        }
    }

    /// Ends the jobs of a batch that cannot run, each by itself and beside the others.
    fn end_bad_rows(&self, batch: &ClaimBatch, sent: Instant) {
        {
            let mut state = self.state.lock();
            // A job that stays queued is refused again at every look.
            let is_new = |job: &&RefusedJob| job.failed || state.refused_jobs.insert(job.job);
            batch.refused.iter().filter(is_new).for_each(log_refused);
        }
        for job in batch.unreadable.clone() {
            let (services, trusted_until) = (self.services.clone(), self.heartbeat.trusted_until(sent));
            tokio::spawn(async move { settle_unreadable(&services, job, trusted_until).await });
        }
    }

    /// Publishes the number of busy slots, as metric and for `/readyz`.
    pub(super) fn publish_slots(&self, busy: usize, draining: bool) {
        self.services.metrics.set_slots(busy, self.config.concurrency);
        let mut state = self.state.lock();
        state.busy = busy;
        state.draining |= draining;
    }
}
