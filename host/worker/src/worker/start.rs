//! A worker from its start to its end: everything that goes on beside the jobs, and the drain.

use std::{sync::Arc, time::Duration};

use assay_db::Listener;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    maintenance::{
        canary_guard::Canaries,
        orphans::{Daily, Plan, Sweep, SweepConfig},
        reaper::Reaper,
        retention::{Retention, RetentionConfig},
    },
    releases::{follow::Releases, shadow::Shadows},
    services::Services,
    worker::{
        active_claims::ActiveClaims, claim_loop::Beside, config::WorkerConfig, heartbeat::Heartbeat,
        shutdown::Shutdown, state::WorkerState,
    },
};

/// How long the last settlements may take once the grace is over, and then the closing of the connections.
pub const LAST_WRITES: Duration = Duration::from_secs(30);

/// A worker that is set up and not yet running.
pub struct Worker {
    /// What runs a job.
    pub services: Arc<Services>,
    /// Slots and times.
    pub config: WorkerConfig,
    /// How long answers and history are kept.
    pub retention: RetentionConfig,
    /// Whether objects that no row points at are deleted.
    pub sweep: SweepConfig,
    /// What the admin endpoint shows.
    pub state: Arc<Mutex<WorkerState>>,
}

impl Worker {
    /// Works until `shutdown`, then drains: what is in hand may finish within the grace, the rest is given back.
    ///
    /// # Errors
    /// When the operating system gives no thread for the heartbeat, or that thread ends before the worker does: without
    /// it nobody renews leases, so what is in hand is given back at once.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let background = CancellationToken::new();
        let held = ActiveClaims::default();
        let heartbeat = Heartbeat {
            worker: self.config.id.clone(),
            lease: self.config.lease,
            every: self.config.beat,
            slots: self.config.concurrency,
        };
        let (listener, listening) = Listener::start(self.services.database.clone(), background.clone());
        let beating =
            heartbeat.clone().start(self.services.clone(), held.clone(), listener.clone(), background.clone())?;
        let reaper = Reaper { every: self.config.reap, version_patience: self.config.version_patience };
        let reaping = tokio::spawn(reaper.run(
            self.services.database.clone(),
            self.services.guests.clone(),
            self.services.metrics.clone(),
            background.clone(),
        ));

        let releases = Releases {
            guests: self.services.guests.clone(),
            database: self.services.database.clone(),
            objects: self.services.objects.clone(),
            metrics: self.services.metrics.clone(),
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
        let _hanging = tokio::time::timeout(LAST_WRITES, self.services.database.close()).await;
        tracing::info!(worker.id = self.config.id, "worker stopped");
        anyhow::ensure!(alive, "the heartbeat's thread ended before the worker did");
        Ok(())
    }

    /// Candidates in the shadow of what this worker runs.
    fn start_shadows(&self, stop: &CancellationToken) -> (Arc<Shadows>, JoinHandle<()>) {
        let Services { database, guests, metrics, .. } = &*self.services;
        Shadows::start(database.clone(), guests.clone(), metrics.clone(), stop.clone())
    }

    /// What any worker does for all: halting canaries, deleting old answers and history, and sweeping.
    fn watch(&self, stop: &CancellationToken) -> JoinHandle<()> {
        let Services { database, objects, metrics, .. } = &*self.services;
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

    /// Lets what is in hand finish within the grace, then gives the rest back.
    async fn drain(&self, held: &ActiveClaims, now: &CancellationToken, jobs: &mut JoinSet<()>) {
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

    pub(super) fn show(&self, busy: usize, draining: bool) {
        self.services.metrics.show_slots(busy, self.config.concurrency);
        let mut state = self.state.lock();
        state.busy = busy;
        state.draining |= draining;
    }
}
