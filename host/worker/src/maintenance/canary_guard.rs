//! Watching canaries: any worker halts a canary that does worse than the active release.

use std::time::Duration;

use assay_core::{
    channel::{Change, Refusal},
    release_stats,
};
use assay_db::{
    Database, DbError, StoredTime,
    releases::{By, ChannelRow},
};
use tokio_util::sync::CancellationToken;

use crate::{maintenance::every::every, metrics::Metrics};

/// Checks the canaries of every channel and halts the bad ones.
#[derive(Clone, Debug)]
pub struct CanaryGuard {
    pub database: Database,
    pub metrics: Metrics,
    /// The name of this worker, for the audit.
    pub actor: String,
    pub period: Duration,
}

impl CanaryGuard {
    /// Checks canaries until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = every(self.period, &stop);
        while rounds.next().await {
            rounds.run(self.check_all()).await;
        }
    }

    async fn check_all(&self) {
        let channels = match self.database.channels().await {
            Ok(channels) => channels,
            Err(error) => return tracing::warn!(%error, "canary check failed"),
        };
        // An error in one channel does not keep the others from being checked.
        for channel in &channels {
            if let Err(error) = self.check(channel).await {
                tracing::warn!(%error, channel = channel.name, "canary check failed");
            }
        }
    }

    async fn check(&self, channel: &ChannelRow) -> Result<(), DbError> {
        let (Some(active), Some(canary)) = (&channel.runs.active, &channel.runs.canary) else { return Ok(()) };
        let (name, since) = (Some(channel.name.as_str()), channel.canary_since.and_then(StoredTime::at));
        let of_canary = self.database.release_stats(&canary.digest, name, since).await?;
        if of_canary.results < release_stats::MIN_SAMPLE {
            return Ok(());
        }
        let of_active = self.database.release_stats(active, name, since).await?;
        let Some(halt) = release_stats::halt_reason(&of_canary, &of_active) else { return Ok(()) };
        let reason = halt.to_string();
        let (change, by) = (Change::Halt(canary.digest.clone()), By { actor: &self.actor, reason: &reason });
        match self.database.change_channel(&channel.name, &change, true, by).await? {
            Ok(_) => {
                self.metrics.canaries_halted.inc();
                tracing::error!(
                    event = "canary_halted",
                    channel = channel.name,
                    guest.digest = canary.digest,
                    reason,
                    "canary halted: new jobs run on the active release alone"
                );
            }
            // Another worker or the operator was faster.
            Err(Refusal::NoCanary) => {}
            Err(refusal) => tracing::error!(channel = channel.name, %refusal, reason, "canary halt failed"),
        }
        Ok(())
    }
}
