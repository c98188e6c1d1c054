//! The reaper: any worker, every few seconds, takes back what dead workers left.

use std::time::{Duration, Instant};

use assay_db::{
    Database, DbError,
    queue::{BATCH, Reaped, Rescue},
};
use tokio_util::sync::CancellationToken;

use crate::{guests::loaded_guests::Guests, maintenance::every::every, metrics::Metrics};

/// Time between two deletions of workers that are gone.
const FORGET_WORKERS_PERIOD: Duration = Duration::from_secs(3600);

/// Takes back jobs of dead workers, and ends jobs that no worker can run.
#[derive(Clone, Debug)]
pub struct Reaper {
    pub database: Database,
    pub guests: Guests,
    pub metrics: Metrics,
    pub period: Duration,
    /// How long a prompt version may be unknown to every worker before its jobs fail.
    pub version_patience: Duration,
}

impl Reaper {
    /// Reaps until `stop`. A round that has begun is not cut short.
    pub async fn run(self, stop: CancellationToken) {
        let started = Instant::now();
        let mut forget_workers_at = started;
        let mut rounds = every(self.period, &stop);
        while rounds.next().await {
            // A worker may die with more jobs than one statement takes.
            while self.report(self.database.reap_expired().await) >= BATCH {}
            while self.report(self.database.reap_cancelled().await) >= BATCH {}
            // A fleet that just started does not know yet what it will serve.
            // A version whose file does not load waits for the operator.
            if started.elapsed() >= self.version_patience && self.guests.not_loaded().is_empty() {
                self.report(self.database.fail_unknown_versions(self.version_patience).await);
            }
            if Instant::now() >= forget_workers_at {
                forget_workers_at = Instant::now() + FORGET_WORKERS_PERIOD;
                if let Err(error) = self.database.forget_old_workers().await {
                    tracing::debug!(%error, "deletion of old workers failed");
                }
            }
        }
    }

    /// Counts and logs reaped jobs. Returns how many there were.
    fn report(&self, reaped: Result<Vec<Reaped>, DbError>) -> usize {
        let reaped = match reaped {
            Ok(reaped) => reaped,
            Err(error) => {
                tracing::warn!(%error, "search for jobs of dead workers failed");
                return 0;
            }
        };
        self.metrics.reaped.inc_by(reaped.len() as u64);
        reaped.iter().for_each(log_reaped);
        reaped.len()
    }
}

fn log_reaped(Reaped { job, file, rescue }: &Reaped) {
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
