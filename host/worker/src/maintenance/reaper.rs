//! The reaper: any worker, every few seconds, takes back what dead workers left.

use std::time::{Duration, Instant};

use assay_db::{
    Database, DbError,
    queue::{BATCH, Reaped, Rescue},
};
use tokio_util::sync::CancellationToken;

use crate::{guests::Guests, metrics::Metrics};

/// How often the reaper looks, and its patience.
#[derive(Clone, Debug)]
pub struct Reaper {
    /// Time between rounds, jittered by a fifth so that a fleet spreads out; the first comes within this time.
    pub every: Duration,
    /// How long no worker may have known a prompt version before jobs for it fail.
    pub version_patience: Duration,
}

/// Workers that are gone are forgotten about once an hour.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

impl Reaper {
    /// Waits before each round. The first is anywhere within the interval: a fleet that was started as one spreads out, and where
    /// workers live short lives, somebody still comes to a round.
    fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        let every = self.every;
        let first = every.mul_f64(rand::random_range(0.0..1.0));
        std::iter::once(first).chain(std::iter::repeat_with(move || every.mul_f64(rand::random_range(0.8..1.2))))
    }

    /// Reaps until `stop`.
    pub async fn run(self, database: Database, guests: Guests, metrics: Metrics, stop: CancellationToken) {
        let started = Instant::now();
        let mut forget_at = started;
        for pause in self.pauses() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            // A worker may die with more jobs than one statement takes.
            while settle(database.reap_expired().await, &metrics) >= BATCH {}
            while settle(database.reap_cancelled().await, &metrics) >= BATCH {}
            // A fleet that was just started does not know yet what it will serve.
            // And a version whose file is there but does not load waits for the operator.
            if started.elapsed() >= self.version_patience && guests.not_loaded().is_empty() {
                settle(database.fail_unknown_versions(self.version_patience).await, &metrics);
            }
            if Instant::now() >= forget_at {
                forget_at = Instant::now() + FORGET_EVERY;
                if let Err(error) = database.forget_old_workers().await {
                    tracing::debug!(%error, "forget old workers");
                }
            }
        }
    }
}

/// Counts and tells what was done; how many jobs it was.
fn settle(reaped: Result<Vec<Reaped>, DbError>, metrics: &Metrics) -> usize {
    let reaped = match reaped {
        Ok(reaped) => reaped,
        Err(error) => {
            tracing::warn!(%error, "look for jobs of dead workers");
            return 0;
        }
    };
    let count = reaped.len();
    for Reaped { job, file, rescue } in reaped {
        metrics.reaped.inc();
        let (job, file) = (job.to_string(), file.to_string());
        match rescue {
            Rescue::Requeued => tracing::warn!(job.id = job, file.id = file, "took back the job of a dead worker"),
            Rescue::Failed => tracing::error!(
                job.id = job,
                file.id = file,
                code = "worker_lost",
                "ended a job that lost its worker at every attempt"
            ),
            Rescue::Cancelled => {
                tracing::warn!(job.id = job, file.id = file, code = "cancelled", "ended a job that was to be cancelled")
            }
            Rescue::VersionUnknown => tracing::error!(
                job.id = job,
                file.id = file,
                code = "version_not_available",
                "ended a job whose prompt version no worker knows"
            ),
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_is_anywhere_within_the_interval_and_the_others_an_interval_apart() {
        let every = Duration::from_secs(5);
        let reaper = Reaper { every, version_patience: Duration::ZERO };
        let firsts: Vec<_> = (0..1000).filter_map(|_| reaper.pauses().next()).collect();
        let (soon, late) = (firsts.iter().min(), firsts.iter().max());
        assert!(soon < Some(&(every / 4)) && late > Some(&(every * 3 / 4)) && late < Some(&every), "{soon:?} {late:?}");
        let others: Vec<_> = reaper.pauses().skip(1).take(1000).collect();
        assert!(others.iter().all(|pause| (every * 4 / 5..every * 6 / 5).contains(pause)));
    }
}
