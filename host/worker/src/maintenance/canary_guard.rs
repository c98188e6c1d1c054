//! Watching canaries: whichever worker looks first halts one that does worse than the active release.

use std::time::Duration;

use assay_core::{
    channel::{Change, Refusal},
    release_stats,
};
use assay_db::{
    Database, DbError,
    releases::{By, ChannelRow},
};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// A look at the canaries of every channel, again and again.
#[derive(Clone, Debug)]
pub struct Canaries {
    /// Where the attempts are counted.
    pub database: Database,
    /// What is counted here.
    pub metrics: Metrics,
    /// Who the audit names: this worker.
    pub actor: String,
    /// Time between two looks, jittered by a fifth so that a fleet spreads out.
    pub every: Duration,
}

impl Canaries {
    /// Watches until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let pause = self.every.mul_f64(rand::random_range(0.8..1.2));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let look = async {
                match self.database.channels().await {
                    Ok(channels) => self.look(&channels).await,
                    Err(error) => tracing::warn!(%error, "look at the canaries"),
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = look => {}
            }
        }
    }

    /// One channel after the other: what fails in one keeps no other from being looked at.
    async fn look(&self, channels: &[ChannelRow]) {
        for channel in channels {
            if let Err(error) = self.judge(channel).await {
                tracing::warn!(%error, channel = channel.name, "look at the canaries");
            }
        }
    }

    async fn judge(&self, channel: &ChannelRow) -> Result<(), DbError> {
        let (Some(active), Some(canary)) = (&channel.runs.active, &channel.runs.canary) else { return Ok(()) };
        let (name, since) = (Some(channel.name.as_str()), channel.canary_since);
        let of_canary = self.database.release_stats(&canary.digest, name, since).await?;
        if of_canary.results < release_stats::MIN_SAMPLE {
            return Ok(());
        }
        let of_active = self.database.release_stats(active, name, since).await?;
        let Some(halt) = release_stats::judge(&of_canary, &of_active) else { return Ok(()) };
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
            // Another worker was faster, or the operator.
            Err(Refusal::NoCanary) => {}
            Err(refusal) => tracing::error!(channel = channel.name, %refusal, reason, "canary does not halt"),
        }
        Ok(())
    }
}
