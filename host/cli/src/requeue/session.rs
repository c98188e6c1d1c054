//! The database, the start time and the rate of one requeue.

use anyhow::{Context, anyhow};
use assay_db::{Database, DatabaseConfig, DbError, queue::RequeuePace};
use time::{Duration, OffsetDateTime};

use crate::{
    database,
    requeue::{options::Options, outcome::RequeueOutcome},
};

pub struct Session {
    pub database: Database,
    /// By the database's clock. Jobs that end later are left alone, so one command requeues each job at most once.
    pub began: OffsetDateTime,
    pub dry_run: bool,
    /// Seconds from one start to the next.
    gap: f64,
}

impl Session {
    pub async fn open(config: DatabaseConfig, options: &Options) -> anyhow::Result<Self> {
        let database = database::open(config).await?;
        let began = database.clock().await.context("read the database's clock")?;
        let gap = options.rate.map_or(0.0, |rate| rate.gap);
        Ok(Self { database, began, dry_run: options.dry_run, gap })
    }

    pub fn outcome(&self) -> RequeueOutcome {
        RequeueOutcome { dry_run: self.dry_run, ..RequeueOutcome::default() }
    }

    /// Returns the pace of a batch that starts after `before` other jobs.
    pub fn pace(&self, before: u64) -> RequeuePace {
        RequeuePace { began: self.began, gap: self.gap, before }
    }

    /// Adds jobs that a dry run counts.
    pub fn add_planned(&self, outcome: &mut RequeueOutcome, jobs: u64) {
        if jobs > 0 {
            let before = outcome.jobs + jobs - 1;
            let last = self.began + Duration::seconds_f64(self.gap * before as f64);
            outcome.add(jobs, Some(last));
        }
    }
}

/// Returns the error of a batch, with what is known about the jobs.
pub fn interrupted(error: DbError, requeued: u64) -> anyhow::Error {
    let batch = if error.is_ambiguous() { "may have been requeued" } else { "were not requeued" };
    anyhow!(error).context(format!(
        "requeued {requeued} jobs, then a batch failed; its jobs {batch}; run the command again: it skips jobs that are queued or running"
    ))
}
