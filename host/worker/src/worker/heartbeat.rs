//! The heartbeat: its own OS thread, runtime and connection, so that neither a busy pool nor a spinning guest starves it.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use assay_core::lease::Lease;
use assay_db::{
    DbError, Listener, Refused,
    queue::{self, Renewal},
};
use tokio_util::sync::CancellationToken;

use crate::{guests::loaded_guests::Guests, metrics::Metrics, services::Services, worker::active_claims::ActiveClaims};

/// Renews the leases and announces the worker to the fleet.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The name of this start of this worker, unique in the fleet.
    pub worker: String,
    /// How long a claim lasts without a heartbeat.
    pub lease: Duration,
    /// Time between heartbeats; a third of the lease or less.
    pub period: Duration,
    /// Slots of this worker, as `assay status` shows them.
    pub slots: usize,
}

impl Heartbeat {
    /// Returns the part of a lease that is not used: clocks drift, statements take time, and the fence must come before the end.
    pub fn margin(lease: Duration) -> Duration {
        lease / 8
    }

    /// Returns until when a claim can be trusted that a statement sent at `sent` renewed.
    pub fn trusted_until(&self, sent: Instant) -> Instant {
        sent + self.lease - Self::margin(self.lease)
    }

    /// Returns whether heartbeats get through; without them no job is claimed. One heartbeat may be late.
    pub fn is_regular(&self, last_beat: Instant) -> bool {
        last_beat.elapsed() < self.period * 2
    }

    /// Starts the thread. It beats until `stop`, then announces that the worker is gone. After a notification of a cancel request
    /// it beats at once: every heartbeat returns the requests, also those without a notification.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        self,
        services: Arc<Services>,
        claims: ActiveClaims,
        listener: Listener,
        stop: CancellationToken,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("assay-heartbeat".to_owned())
            .spawn(move || runtime.block_on(self.run(&services, &claims, &listener, &stop)))
    }

    async fn run(&self, services: &Services, claims: &ActiveClaims, listener: &Listener, stop: &CancellationToken) {
        let metrics = &services.metrics;
        let mut connection = None;
        let mut next_beat = Instant::now();
        // Register first, beat second: a request that arrives during a heartbeat causes the next one.
        let mut requested = std::pin::pin!(listener.cancel_requested());
        requested.as_mut().enable();
        loop {
            let wake = claims.next_fence().map_or(next_beat, |fence| fence.min(next_beat));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(wake.into()) => {}
                () = &mut requested => {
                    requested.set(listener.cancel_requested());
                    requested.as_mut().enable();
                    if !claims.leases().is_empty() {
                        next_beat = Instant::now();
                    }
                }
            }
            fence(claims, metrics);
            if Instant::now() < next_beat {
                continue;
            }
            next_beat = Instant::now() + self.period;
            tokio::select! {
                () = stop.cancelled() => break,
                // A heartbeat that hangs must not delay the fence.
                () = self.fence_in_time(claims, metrics) => {}
                result = self.beat_surely(services, &mut connection, claims) => {
                    if let Err(error) = result {
                        connection = None;
                        // Sooner than usual: every second counts while leases run out.
                        next_beat = Instant::now() + self.period / 4;
                        tracing::warn!(%error, "heartbeat failed");
                    }
                }
            }
        }
        if let Some(mut connection) = connection
            && let Err(error) = connection.announce_stop(&self.worker).await
        {
            tracing::debug!(%error, "farewell to the fleet failed");
        }
    }

    /// Beats, and once more if the session was of no use, as after a failover, or another transaction was in the way.
    async fn beat_surely(
        &self,
        services: &Services,
        connection: &mut Option<queue::Heartbeat>,
        claims: &ActiveClaims,
    ) -> Result<(), DbError> {
        match self.beat(services, connection, claims).await {
            Err(error) if error.is_repeatable() => {
                tracing::debug!(%error, "heartbeat is tried again");
                if error.needs_new_session() {
                    *connection = None;
                }
                self.beat(services, connection, claims).await
            }
            result => result,
        }
    }

    async fn beat(
        &self,
        Services { database, guests, breakers, metrics, .. }: &Services,
        connection: &mut Option<queue::Heartbeat>,
        claims: &ActiveClaims,
    ) -> Result<(), DbError> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let begun = Instant::now();
                let connected = database.heartbeat(self.period).await;
                // Claims may not notice an expired password: their connections may be older. Nor do they notice the new password
                // while no slot is free.
                breakers.record_database(&connected, connected.is_ok(), begun);
                connection.insert(connected?)
            }
        };
        let sent = Instant::now();
        let asked = claims.leases();
        let Renewal { kept, refused } = connection.renew(&asked).await?;
        refused.iter().for_each(log_refused);
        let lost = claims.apply_renewal(&asked, &kept, self.trusted_until(sent));
        report(lost, metrics, "claims were taken over by other workers");
        let announcement =
            queue::Announcement { releases: fleet_entry(guests), breakers: serde_json::json!(breakers.open()) };
        let slots = i32::try_from(self.slots).unwrap_or(i32::MAX);
        connection.announce(&self.worker, env!("CARGO_PKG_VERSION"), slots, &announcement).await?;
        // Only here: without claims, the announcement is the only statement of this heartbeat.
        claims.record_beat(sent);
        Ok(())
    }

    /// Completes at the next fence, after it interrupted the claims.
    async fn fence_in_time(&self, claims: &ActiveClaims, metrics: &Metrics) {
        let next = claims.next_fence().unwrap_or_else(|| Instant::now() + self.lease);
        tokio::time::sleep_until(next.into()).await;
        fence(claims, metrics);
    }
}

/// Returns the releases of this worker, loaded and refused, as the fleet sees them.
fn fleet_entry(guests: &Guests) -> serde_json::Value {
    let loaded = guests.loaded().into_iter().map(|release| serde_json::json!(release));
    let refused = guests.refused();
    let refused = refused.iter().map(|(digest, reason)| serde_json::json!({"digest": digest, "refused": reason}));
    loaded.chain(refused).collect()
}

/// Names a job that is given up, because the other leases are renewed without it.
fn log_refused(Refused { row, sqlstate }: &Refused<Lease>) {
    tracing::error!(
        event = "row_refused",
        job.id = %row.job,
        sqlstate,
        "the database refuses to renew the lease of the job, because of a value in its row; other jobs go on"
    );
}

fn fence(claims: &ActiveClaims, metrics: &Metrics) {
    report(claims.fence(Instant::now()), metrics, "leases may have run out without an answer from the database");
}

fn report(lost: usize, metrics: &Metrics, reason: &'static str) {
    if lost > 0 {
        metrics.lost_leases.inc_by(lost as u64);
        tracing::warn!(lost, reason, "stopped working on lost claims");
    }
}
