//! The reaper: any worker, every few seconds, takes back what dead workers left.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use assay_core::ids::JobId;
use assay_db::{
    Database, DbError, Refused,
    queue::{ReapBatch, Reaped, RefusedRow, Rescue},
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
        let mut refused_before = HashSet::new();
        let mut rounds = every(self.period, &stop);
        while rounds.next().await {
            let mut refused = Vec::new();
            // A worker may die with more jobs than one statement takes.
            while self.report(self.database.reap_expired(&refused).await, &mut refused, &refused_before) {}
            while self.report(self.database.reap_cancelled(&refused).await, &mut refused, &refused_before) {}
            // A fleet that just started does not know yet what it will serve.
            // A version whose file does not load waits for the operator.
            if started.elapsed() >= self.version_patience && self.guests.not_loaded().is_empty() {
                let failed = self.database.fail_unknown_versions(self.version_patience, &refused).await;
                self.report(failed, &mut refused, &refused_before);
            }
            refused_before = refused.into_iter().collect();
            if Instant::now() >= forget_workers_at {
                forget_workers_at = Instant::now() + FORGET_WORKERS_PERIOD;
                match self.database.forget_old_workers().await {
                    Ok(refused) => refused.iter().for_each(log_kept_worker),
                    Err(error) => tracing::debug!(%error, "deletion of old workers failed"),
                }
            }
        }
    }

    /// Counts and logs reaped jobs, and names those that the database refuses, once. Returns whether there may be more.
    fn report(
        &self,
        batch: Result<ReapBatch, DbError>,
        refused: &mut Vec<JobId>,
        refused_before: &HashSet<JobId>,
    ) -> bool {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "search for jobs of dead workers failed");
                return false;
            }
        };
        self.metrics.reaped.inc_by(batch.reaped.len() as u64);
        batch.reaped.iter().for_each(log_reaped);
        batch.refused.iter().filter(|row| !refused_before.contains(&row.job)).for_each(log_refused);
        let is_full = batch.is_full();
        refused.extend(batch.refused.into_iter().map(|row| row.job));
        is_full
    }
}

fn log_refused(RefusedRow { job, sqlstate }: &RefusedRow) {
    tracing::error!(
        event = "row_refused",
        job.id = %job,
        sqlstate,
        "the database refuses to take the job back, because of a value in its rows; other jobs go on"
    );
}

fn log_kept_worker(Refused { row, sqlstate }: &Refused<String>) {
    tracing::error!(
        event = "row_refused",
        table = "workers",
        row,
        sqlstate,
        "the database refuses to delete an old row; other rows go on"
    );
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
