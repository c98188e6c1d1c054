//! Claiming past a backlog: due jobs that cannot run now, because their release may not be called or their channel is
//! paused.

use std::time::Duration;

use assay_core::{claim::QueuePosition, serving::Serving};
use uuid::Uuid;

use super::{
    claim::{Channels, ClaimScope},
    claim_batch::ClaimBatch,
};
use crate::{database::Database, error::DbError};

/// Due jobs that `sql/claim.sql` reads besides those that it claims; the same number stands there.
const READ_AHEAD: usize = 50;
/// Jobs that are tried besides those that there are slots for: other workers take the first ones at the same time.
const MORE_CANDIDATES: usize = 16;
/// Candidates are looked for further, by this factor and up to this number, while other transactions lock all of them.
const WIDEN: usize = 8;
const MAX_CANDIDATES: usize = 10_000;

impl Database {
    /// Claims at most `slots` jobs: the first due ones, and where jobs that cannot run hide others, those behind them.
    pub(super) async fn claim_together(
        &self,
        worker: &str,
        serving: &Serving,
        slots: usize,
        lease: Duration,
        from: Option<QueuePosition>,
    ) -> Result<ClaimBatch, DbError> {
        let mut batch = self.claim_in(worker, serving, slots, lease, &ClaimScope { from, only: None }).await?;
        if batch.len() >= slots {
            return Ok(batch);
        }
        let behind = async {
            if !self.head_is_full(slots + READ_AHEAD, from).await? {
                return Ok(None);
            }
            self.claim_behind(worker, serving, slots - batch.len(), lease, from).await.map(Some)
        };
        match behind.await {
            Ok(None) => {}
            Ok(Some(behind)) => {
                batch.past_backlog = true;
                batch.extend(behind);
            }
            // What is claimed already must be run.
            Err(error) if !batch.is_empty() => {
                tracing::debug!(%error, "the queue was not read past its first due jobs")
            }
            Err(error) => return Err(error),
        }
        Ok(batch)
    }

    async fn claim_behind(
        &self,
        worker: &str,
        serving: &Serving,
        slots: usize,
        lease: Duration,
        from: Option<QueuePosition>,
    ) -> Result<ClaimBatch, DbError> {
        let mut limit = slots + MORE_CANDIDATES;
        loop {
            let jobs = self.due_jobs(serving, limit, from).await?;
            if jobs.is_empty() {
                return Ok(ClaimBatch::default());
            }
            let scope = ClaimScope { from, only: Some(&jobs) };
            let batch = self.claim_in(worker, serving, slots, lease, &scope).await?;
            if !batch.is_empty() || jobs.len() < limit || limit >= MAX_CANDIDATES {
                return Ok(batch);
            }
            limit = (limit * WIDEN).min(MAX_CANDIDATES);
        }
    }

    async fn head_is_full(&self, read: usize, from: Option<QueuePosition>) -> Result<bool, DbError> {
        self.run_planned(async |db| {
            sqlx::query_file_scalar!(
                "sql/head_is_full.sql",
                from.map(|place| place.due),
                from.map(|place| place.job.0),
                i64::try_from(read).unwrap_or(i64::MAX),
            )
            .fetch_one(db)
            .await
        })
        .await
    }

    /// Returns due jobs that `serving` can run, in the order of claims.
    pub(super) async fn due_jobs(
        &self,
        serving: &Serving,
        limit: usize,
        from: Option<QueuePosition>,
    ) -> Result<Vec<Uuid>, DbError> {
        let (versions, digests): (Vec<_>, Vec<_>) = serving.versions.iter().cloned().unzip();
        let channels = Channels::of(serving);
        self.run_planned(async |db| {
            sqlx::query_file_scalar!(
                "sql/due_jobs.sql",
                &versions,
                &digests,
                serving.default,
                &serving.digests,
                &channels.names,
                &channels.active as &[Option<String>],
                &channels.versions as &[Option<String>],
                &channels.canaries as &[Option<String>],
                &channels.percents as &[Option<i32>],
                from.map(|place| place.due),
                from.map(|place| place.job.0),
                i64::try_from(limit).unwrap_or(i64::MAX),
            )
            .fetch_all(db)
            .await
        })
        .await
    }
}
