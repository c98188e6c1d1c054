//! The heartbeat: its own OS thread, runtime and connection, so that neither a busy pool nor a spinning guest starves it.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use assay_db::{DbError, Listener, queue};
use tokio_util::sync::CancellationToken;

use crate::{guests::Guests, metrics::Metrics, services::Services, worker::active_claims::ActiveClaims};

/// What the heartbeat tells and how often.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The fleet-wide name of this start of this worker.
    pub worker: String,
    /// How long a claim lasts without a beat.
    pub lease: Duration,
    /// Time between beats; a third of the lease or less.
    pub every: Duration,
    /// Slots, for the fleet's view.
    pub slots: usize,
}

impl Heartbeat {
    /// The part of a lease that is not used: clocks drift, statements take time, and a fence must fall before the lease.
    pub fn margin(lease: Duration) -> Duration {
        lease / 8
    }

    /// Until when a claim can be trusted that was renewed by a statement sent at `sent`.
    pub fn trusted_until(&self, sent: Instant) -> Instant {
        sent + self.lease - Self::margin(self.lease)
    }

    /// Whether beats get through: claims are taken only then, for nobody could renew them. A beat may be late once.
    pub fn is_regular(&self, last_beat: Instant) -> bool {
        last_beat.elapsed() < self.every * 2
    }

    /// Starts the thread. It beats until `stop`, then tells the fleet that the worker is gone. Where `listener` hears of a request to
    /// cancel, it beats at once: the beat brings the request back, also one that was not heard of.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        self,
        services: Arc<Services>,
        held: ActiveClaims,
        listener: Listener,
        stop: CancellationToken,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("assay-heartbeat".to_owned())
            .spawn(move || runtime.block_on(self.run(&services, &held, &listener, &stop)))
    }

    async fn run(&self, services: &Services, held: &ActiveClaims, listener: &Listener, stop: &CancellationToken) {
        let metrics = &services.metrics;
        let mut connection = None;
        let mut next_beat = Instant::now();
        // Interest first, beat second: a request that is heard of during a beat brings about the next one.
        let mut requested = std::pin::pin!(listener.cancel_requested());
        requested.as_mut().enable();
        loop {
            let wake = held.next_fence().map_or(next_beat, |fence| fence.min(next_beat));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(wake.into()) => {}
                () = &mut requested => {
                    requested.set(listener.cancel_requested());
                    requested.as_mut().enable();
                    if !held.leases().is_empty() {
                        next_beat = Instant::now();
                    }
                }
            }
            fence(held, metrics);
            if Instant::now() < next_beat {
                continue;
            }
            next_beat = Instant::now() + self.every;
            tokio::select! {
                () = stop.cancelled() => break,
                // A beat that hangs must not keep the fence from falling.
                () = self.fence_in_time(held, metrics) => {}
                result = self.beat(services, &mut connection, held) => {
                    if let Err(error) = result {
                        connection = None;
                        // Sooner than usual: every second counts while leases run out.
                        next_beat = Instant::now() + self.every / 4;
                        tracing::warn!(%error, "renew the leases");
                    }
                }
            }
        }
        if let Some(mut connection) = connection
            && let Err(error) = connection.announce_stop(&self.worker).await
        {
            tracing::debug!(%error, "tell the fleet goodbye");
        }
    }

    async fn beat(
        &self,
        Services { database, guests, breakers, metrics, .. }: &Services,
        connection: &mut Option<queue::Heartbeat>,
        held: &ActiveClaims,
    ) -> Result<(), DbError> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let begun = Instant::now();
                let connected = database.heartbeat(self.every).await;
                // Claims may never hear of a password that expired: their connections may be older than it, and without beats there are
                // no claims. Nor do they hear that it is in order again while no slot is free.
                breakers.record_database(&connected, connected.is_ok(), begun);
                connection.insert(connected?)
            }
        };
        let sent = Instant::now();
        let asked = held.leases();
        let kept = connection.renew(&asked).await?;
        let lost = held.renewed(&asked, &kept, self.trusted_until(sent));
        report(lost, metrics, "claims were taken over while they were held");
        let told = queue::Announcement { releases: fleet_entry(guests), breakers: serde_json::json!(breakers.open()) };
        let slots = i32::try_from(self.slots).unwrap_or(i32::MAX);
        connection.announce(&self.worker, env!("CARGO_PKG_VERSION"), slots, &told).await?;
        // Only here: where nothing is held, the announcement is the only statement that was sent.
        held.beat(sent);
        Ok(())
    }

    /// Completes when a claim was given up, which it does at the time of the next fence.
    async fn fence_in_time(&self, held: &ActiveClaims, metrics: &Metrics) {
        let next = held.next_fence().unwrap_or_else(|| Instant::now() + self.lease);
        tokio::time::sleep_until(next.into()).await;
        fence(held, metrics);
    }
}

/// What the fleet is told of the releases of this worker.
fn fleet_entry(guests: &Guests) -> serde_json::Value {
    let loaded = guests.loaded().into_iter().map(|release| serde_json::json!(release));
    let refused = guests.refused();
    let refused = refused.iter().map(|(digest, reason)| serde_json::json!({"digest": digest, "refused": reason}));
    loaded.chain(refused).collect()
}

fn fence(held: &ActiveClaims, metrics: &Metrics) {
    report(held.fence(Instant::now()), metrics, "leases may have run out without an answer from the database");
}

fn report(lost: usize, metrics: &Metrics, reason: &'static str) {
    if lost > 0 {
        metrics.lost_leases.inc_by(lost as u64);
        tracing::warn!(lost, reason, "stopped working on lost claims");
    }
}
