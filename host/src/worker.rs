//! The worker: slots and time. It claims as many jobs as it has free slots, runs each through the pipeline, and settles
//! what comes out; of the pipeline's steps it knows nothing.

mod claiming;
mod config;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use claiming::Front;
pub use config::WorkerConfig;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    breakers::Probe,
    canaries::Canaries,
    db::Listener,
    error::{Class, Code},
    heartbeat::Heartbeat,
    held::HeldClaims,
    job::{Claim, Settlement},
    metrics::OutcomeLabels,
    pipeline::{Ending, Pipeline, Run},
    reaper::Reaper,
    releases::Releases,
    retention::{Retention, RetentionConfig},
    settlement,
    shadow::Shadows,
    shutdown::Shutdown,
    sweep::{Daily, Plan, Sweep, SweepConfig},
};

/// While jobs are plenty, freed slots are filled together: one claim for several jobs saves commits.
const GATHER: Duration = Duration::from_millis(5);
/// How long the last settlements may take once the grace is over, and then the closing of the connections.
pub(crate) const LAST_WRITES: Duration = Duration::from_secs(30);

/// A worker that is set up and not yet running.
pub struct Worker {
    /// What runs a job.
    pub pipeline: Arc<Pipeline>,
    /// Slots and times.
    pub config: WorkerConfig,
    /// How long answers and history are kept.
    pub retention: RetentionConfig,
    /// Whether objects that no row points at are deleted.
    pub sweep: SweepConfig,
    /// What the admin endpoint shows.
    pub state: Arc<Mutex<State>>,
}

/// What goes on beside the jobs.
struct Beside<'a> {
    heartbeat: &'a Heartbeat,
    held: &'a HeldClaims,
    listener: &'a Listener,
    shadows: &'a Arc<Shadows>,
}

/// What a worker is doing, for `/readyz`.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Since when the database has not answered a claim.
    pub claims_failing_since: Option<Instant>,
    /// Since when no beat got through.
    pub beats_failing_since: Option<Instant>,
    /// Whether the worker claims no more.
    pub draining: bool,
    /// Jobs in hand.
    pub busy: usize,
}

impl Worker {
    /// Works until `shutdown`, then drains: what is in hand may finish within the grace, the rest is given back.
    ///
    /// # Errors
    /// When the operating system gives no thread for the heartbeat, or that thread ends before the worker does: without
    /// it nobody renews leases, so what is in hand is given back at once.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let background = CancellationToken::new();
        let held = HeldClaims::default();
        let heartbeat = Heartbeat {
            worker: self.config.id.clone(),
            lease: self.config.lease,
            every: self.config.beat,
            slots: self.config.concurrency,
        };
        let (listener, listening) = Listener::start(self.pipeline.database.clone(), background.clone());
        let beating =
            heartbeat.clone().start(self.pipeline.clone(), held.clone(), listener.clone(), background.clone())?;
        let reaper = Reaper { every: self.config.reap, version_patience: self.config.version_patience };
        let reaping = tokio::spawn(reaper.run(
            self.pipeline.database.clone(),
            self.pipeline.guests.clone(),
            self.pipeline.metrics.clone(),
            background.clone(),
        ));

        let releases = Releases {
            guests: self.pipeline.guests.clone(),
            database: self.pipeline.database.clone(),
            objects: self.pipeline.objects.clone(),
            metrics: self.pipeline.metrics.clone(),
            every: self.config.release_poll,
        };
        // Before the first claim: which channels have releases of their own decides what new jobs run on.
        let known = async {
            while !releases.begin().await {
                tokio::time::sleep(self.config.poll).await;
            }
        };
        tokio::select! {
            () = shutdown.drain.cancelled() => {}
            () = known => {}
        }
        let releasing = tokio::spawn(releases.run(listener.clone(), background.clone()));
        let (shadows, shadowing) = self.start_shadows(&background);
        let watching = self.watch(&background);

        tracing::info!(worker.id = self.config.id, slots = self.config.concurrency, "worker started");
        let mut jobs = JoinSet::new();
        let alive = || !beating.is_finished();
        let beside = Beside { heartbeat: &heartbeat, held: &held, listener: &listener, shadows: &shadows };
        self.work(&beside, &shutdown.drain, &alive, &mut jobs).await;
        let alive = alive();
        if !alive {
            tracing::error!("the heartbeat died: giving jobs back");
            shutdown.now.cancel();
        }
        self.drain(&held, &shutdown.now, &mut jobs).await;

        // The heartbeat goes last: as long as anything is in hand, its lease is renewed.
        background.cancel();
        let _ended = tokio::join!(
            listening,
            reaping,
            releasing,
            shadowing,
            watching,
            tokio::task::spawn_blocking(move || beating.join())
        );
        // A connection that hangs must not keep the process from ending.
        let _hanging = tokio::time::timeout(LAST_WRITES, self.pipeline.database.close()).await;
        tracing::info!(worker.id = self.config.id, "worker stopped");
        anyhow::ensure!(alive, "the heartbeat's thread ended before the worker did");
        Ok(())
    }

    /// Candidates in the shadow of what this worker runs.
    fn start_shadows(&self, stop: &CancellationToken) -> (Arc<Shadows>, JoinHandle<()>) {
        let Pipeline { database, guests, metrics, .. } = &*self.pipeline;
        Shadows::start(database.clone(), guests.clone(), metrics.clone(), stop.clone())
    }

    /// What any worker does for all: halting canaries, deleting old answers and history, and sweeping.
    fn watch(&self, stop: &CancellationToken) -> JoinHandle<()> {
        let Pipeline { database, objects, metrics, .. } = &*self.pipeline;
        let (database, metrics) = (database.clone(), metrics.clone());
        let retention = Retention {
            database: database.clone(),
            objects: objects.clone(),
            metrics: metrics.clone(),
            config: self.retention.clone(),
        };
        let sweep = Sweep {
            database: database.clone(),
            objects: objects.clone(),
            metrics: metrics.clone(),
            plan: Plan::default(),
        };
        let daily = Daily { sweep, worker: self.config.id.clone(), config: self.sweep.clone() };
        let canaries = Canaries { database, metrics, actor: self.config.id.clone(), every: self.config.canary_check };
        let stops = [stop.clone(), stop.clone(), stop.clone()];
        tokio::spawn(async move {
            let [for_canaries, for_retention, for_sweeps] = stops;
            tokio::join!(canaries.run(for_canaries), retention.run(for_retention), daily.run(for_sweeps));
        })
    }

    /// Claims and runs until `drain`, as long as the heartbeat is `alive`.
    async fn work(
        &self,
        Beside { heartbeat, held, listener, shadows }: &Beside<'_>,
        drain: &CancellationToken,
        alive: &impl Fn() -> bool,
        jobs: &mut JoinSet<()>,
    ) {
        let started = Instant::now();
        let mut plenty = false;
        let mut looked: Option<Instant> = None;
        let mut front = Front::default();
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
                    jobs.spawn(run(self.pipeline.clone(), claim, probe, held, Arc::clone(shadows)).instrument(span));
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

    /// Lets what is in hand finish within the grace, then gives the rest back.
    async fn drain(&self, held: &HeldClaims, now: &CancellationToken, jobs: &mut JoinSet<()>) {
        self.show(jobs.len(), true);
        let finish = async { while jobs.join_next().await.is_some() {} };
        tokio::select! {
            () = finish => return,
            () = now.cancelled() => {}
            () = tokio::time::sleep(self.config.grace) => tracing::warn!("the grace is over: giving jobs back"),
        }
        held.interrupt_all();
        let give_back = async { while jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WRITES, give_back).await.is_err() {
            tracing::error!(jobs = jobs.len(), "jobs could not be given back; they run again when their leases end");
        }
    }

    fn show(&self, busy: usize, draining: bool) {
        self.pipeline.metrics.show_slots(busy, self.config.concurrency);
        let mut state = self.state.lock();
        state.busy = busy;
        state.draining |= draining;
    }
}

/// One job in one slot.
async fn run(
    pipeline: Arc<Pipeline>,
    claim: Claim,
    probe: Option<Probe>,
    held: crate::held::Held,
    shadows: Arc<Shadows>,
) {
    let started = Instant::now();
    tracing::debug!(lag_ms = claim.lag.as_millis() as u64, "job claimed");
    let mut job = Run::new(&claim);
    job.probes = probe.as_ref().map(|probe| probe.dependencies.clone()).unwrap_or_default();
    let ending = pipeline.run(&mut job, held.interrupted()).await;
    // What it had to tell, it has told.
    drop(probe);
    let trusted_until = held.begin_settlement();
    let Ending::Settle(settlement) = ending else {
        return tracing::warn!("job dropped: its claim is lost");
    };
    // In a box, because it is not needed while the job runs.
    let settling = Box::pin(settlement::settle(&pipeline, &mut job, *settlement, trusted_until));
    let Some(settled) = settling.await else {
        return;
    };
    record(&pipeline, &settled, started.elapsed());
    if let Some(case) = job.shadow_case(&settled) {
        shadows.offer(case);
    }
}

/// Counts an outcome and tells of it: once, here, where it is final.
fn record(pipeline: &Pipeline, settled: &Settlement, elapsed: Duration) {
    let code = settled.failure.as_ref().map_or("", |failure| failure.code.as_str());
    let outcome = settled.outcome.as_str();
    pipeline.metrics.outcomes.get_or_create(&OutcomeLabels { outcome, code }).inc();
    pipeline.metrics.job_duration.observe(elapsed.as_secs_f64());
    let duration_ms = elapsed.as_millis() as u64;
    let Some(failure) = &settled.failure else {
        return tracing::info!(outcome, duration_ms, "job settled");
    };
    let (step, error) = (failure.step.as_str(), failure.message.as_str());
    let wait_ms = settled.wait.as_millis() as u64;
    match settled.outcome {
        // Told once, when its breaker opened.
        crate::job::Outcome::Held if failure.code.class() != Class::Hold => {
            tracing::warn!(outcome, code, step, error, wait_ms, duration_ms, "job held: what it needs is away");
        }
        // The operator's fault: nothing else will mend it.
        crate::job::Outcome::Held => {
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
        crate::job::Outcome::Failed if failure.code == Code::Cancelled => {
            tracing::warn!(outcome, code, step, error, duration_ms, "job settled")
        }
        crate::job::Outcome::Failed => {
            tracing::error!(outcome, code, step, error, duration_ms, "job settled")
        }
        _ => tracing::warn!(outcome, code, step, error, wait_ms, duration_ms, "job settled"),
    }
}

fn reap_finished(jobs: &mut JoinSet<()>) {
    while let Some(job) = jobs.try_join_next() {
        finished(Some(job));
    }
}

/// A panic in a slot loses its job to the reaper, not the worker.
fn finished(job: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = job
        && error.is_panic()
    {
        tracing::error!("a job panicked; it runs again when its lease ends");
    }
}
