//! A worker from start to end: its background tasks, its claim loop, and the drain.

use std::{sync::Arc, thread, time::Duration};

use assay_db::Listener;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    maintenance::{
        canary_guard::CanaryGuard,
        orphans::{
            schedule::{SweepConfig, SweepSchedule},
            sweep::{Sweep, SweepOptions},
        },
        reaper::Reaper,
        retention::{Retention, RetentionConfig},
        row_security::RowSecurityWatch,
        secrets::SecretsWatch,
    },
    releases::{follow::ReleaseFollower, shadow::Shadows},
    services::Services,
    worker::{
        active_claims::ActiveClaims, claim_loop::ClaimLoop, config::WorkerConfig, heartbeat::Heartbeat,
        shutdown::Shutdown, state::WorkerState,
    },
};

/// Longest time for the last settlements after the grace, and again for closing the connections.
pub const FINAL_WRITES_TIMEOUT: Duration = Duration::from_secs(30);

/// A worker that is set up and not yet running.
pub struct Worker {
    pub services: Arc<Services>,
    pub config: WorkerConfig,
    pub retention: RetentionConfig,
    pub sweep: SweepConfig,
    /// Shared with the admin endpoints.
    pub state: Arc<Mutex<WorkerState>>,
}

impl Worker {
    /// Works until `shutdown`, then drains: jobs in slots may finish within the grace, the others are given back.
    ///
    /// # Errors
    /// When the operating system gives no thread for the heartbeat, or that thread ends before the worker does. Leases are not
    /// renewed without it, so the jobs are given back at once.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let background = CancellationToken::new();
        let active_claims = ActiveClaims::default();
        let heartbeat = self.heartbeat();
        let (listener, listening) = Listener::start(self.services.database.clone(), background.clone());
        let beating = heartbeat.clone().start(
            self.services.clone(),
            active_claims.clone(),
            listener.clone(),
            background.clone(),
        )?;
        let reaping = tokio::spawn(self.reaper().run(background.clone()));
        let following = self.follow_releases(&listener, &shutdown, &background).await;
        let (shadows, shadowing) = self.start_shadows(&background);
        let maintaining = self.start_maintenance(&background);

        tracing::info!(worker.id = self.config.id, slots = self.config.concurrency, "worker started");
        let claim_loop = ClaimLoop {
            services: self.services.clone(),
            config: self.config.clone(),
            state: self.state.clone(),
            heartbeat,
            active_claims,
            listener,
            shadows,
        };
        let alive = self.work(&claim_loop, &shutdown, &beating).await;

        // The heartbeat ends after the last job: it renews the leases of all jobs in slots.
        background.cancel();
        let _ended = tokio::join!(
            listening,
            reaping,
            following,
            shadowing,
            maintaining,
            tokio::task::spawn_blocking(move || beating.join())
        );
        // A connection that hangs must not keep the process from ending.
        let _hanging = tokio::time::timeout(FINAL_WRITES_TIMEOUT, self.services.database.close()).await;
        tracing::info!(worker.id = self.config.id, "worker stopped");
        anyhow::ensure!(alive, "the heartbeat's thread ended before the worker did");
        Ok(())
    }

    /// Claims and runs jobs until `shutdown`, then drains. Returns whether the heartbeat lived until the drain.
    async fn work(&self, claim_loop: &ClaimLoop, shutdown: &Shutdown, beating: &thread::JoinHandle<()>) -> bool {
        let mut jobs = JoinSet::new();
        let alive = || !beating.is_finished();
        claim_loop.run(&shutdown.drain, alive, &mut jobs).await;
        let alive = alive();
        if !alive {
            tracing::error!("the heartbeat died: giving jobs back");
            shutdown.now.cancel();
        }
        self.drain(claim_loop, &shutdown.now, &mut jobs).await;
        alive
    }

    /// Lets the jobs in slots finish within the grace, then gives the others back.
    async fn drain(&self, claim_loop: &ClaimLoop, now: &CancellationToken, jobs: &mut JoinSet<()>) {
        claim_loop.publish_slots(jobs.len(), true);
        let finish = async { while jobs.join_next().await.is_some() {} };
        tokio::select! {
            () = finish => return,
            () = now.cancelled() => {}
            () = tokio::time::sleep(self.config.grace) => tracing::warn!("the grace is over: giving jobs back"),
        }
        claim_loop.active_claims.interrupt_all();
        let give_back = async { while jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(FINAL_WRITES_TIMEOUT, give_back).await.is_err() {
            tracing::error!(jobs = jobs.len(), "jobs could not be given back; they run again when their leases end");
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            worker: self.config.id.clone(),
            lease: self.config.lease,
            period: self.config.beat,
            slots: self.config.concurrency,
        }
    }

    fn reaper(&self) -> Reaper {
        Reaper {
            database: self.services.database.clone(),
            guests: self.services.guests.clone(),
            metrics: self.services.metrics.clone(),
            period: self.config.reap,
            version_patience: self.config.version_patience,
        }
    }

    /// Loads what the channels run, then follows their changes. The first load ends before the first claim, because it decides
    /// which guests new jobs run on.
    async fn follow_releases(
        &self,
        listener: &Listener,
        shutdown: &Shutdown,
        stop: &CancellationToken,
    ) -> JoinHandle<()> {
        let follower = ReleaseFollower {
            guests: self.services.guests.clone(),
            database: self.services.database.clone(),
            objects: self.services.objects.clone(),
            metrics: self.services.metrics.clone(),
            period: self.config.release_poll,
        };
        let loaded = async {
            while !follower.load_initial().await {
                tokio::time::sleep(self.config.poll).await;
            }
        };
        shutdown.drain.run_until_cancelled(loaded).await;
        tokio::spawn(follower.run(listener.clone(), stop.clone()))
    }

    fn start_shadows(&self, stop: &CancellationToken) -> (Arc<Shadows>, JoinHandle<()>) {
        let Services { database, guests, metrics, .. } = &*self.services;
        Shadows::start(database.clone(), guests.clone(), metrics.clone(), stop.clone())
    }

    /// Starts what any worker does for the fleet: halting canaries, deleting old answers and history, sweeping.
    fn start_maintenance(&self, stop: &CancellationToken) -> JoinHandle<()> {
        let Services { database, objects, metrics, .. } = &*self.services;
        let (database, objects, metrics) = (database.clone(), objects.clone(), metrics.clone());
        let canaries = CanaryGuard {
            database: database.clone(),
            metrics: metrics.clone(),
            actor: self.config.id.clone(),
            period: self.config.canary_check,
        };
        let retention = Retention {
            database: database.clone(),
            objects: objects.clone(),
            metrics: metrics.clone(),
            config: self.retention.clone(),
        };
        let hidden_rows = RowSecurityWatch { database: database.clone(), state: self.state.clone() };
        let secrets = SecretsWatch { services: self.services.clone(), period: self.config.secrets_read };
        let sweep = Sweep { database, objects, metrics, options: SweepOptions::default() };
        let sweeps = SweepSchedule { sweep, worker: self.config.id.clone(), config: self.sweep.clone() };
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::join!(
                canaries.run(stop.clone()),
                retention.run(stop.clone()),
                sweeps.run(stop.clone()),
                hidden_rows.run(stop.clone()),
                secrets.run(stop.clone()),
            );
        })
    }
}
