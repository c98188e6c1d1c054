//! Taking jobs: one statement per batch, without an open transaction.

use std::time::Duration;

use assay_core::{
    claim::QueuePosition,
    serving::{ServedChannel, Serving},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::claim_batch::{ClaimBatch, ClaimRow};
use crate::{database::Database, error::DbError, lenient::Lenient, rows::JournalRow, stored_time::StoredTime};

/// Which of the due jobs a claim takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClaimScope<'a> {
    /// Skips jobs that are due before.
    pub(super) from: Option<QueuePosition>,
    /// Takes no other jobs.
    pub(super) only: Option<&'a [Uuid]>,
}

impl Database {
    /// Claims at most `slots` due jobs that `serving` can run and whose channel is not paused, and moves their files to
    /// `processing`.
    ///
    /// Pins the digest that serves a job now, unless an earlier claim of this life did, and returns the answers that
    /// earlier claims received. `lease` is rounded down to whole seconds.
    ///
    /// With `from`, skips jobs that are due before that position. While a long transaction keeps vacuum away, the index
    /// still has entries of ended jobs, and each costs a read of the table; `from` skips them.
    ///
    /// One bad row never stops the others: rows are decoded one by one, and where the database refuses the batch because
    /// of a row, the jobs are claimed one by one.
    ///
    /// # Errors
    /// [`DbError`]; jobs of a lost answer can be claimed again when their lease expires.
    pub async fn claim(
        &self,
        worker: &str,
        serving: &Serving,
        slots: usize,
        lease: Duration,
        from: Option<QueuePosition>,
    ) -> Result<ClaimBatch, DbError> {
        match self.claim_together(worker, serving, slots, lease, from).await {
            Err(error) if error.is_refused_row() => self.claim_singly(worker, serving, slots, lease, from).await,
            claimed => claimed,
        }
    }

    pub(super) async fn claim_in(
        &self,
        worker: &str,
        serving: &Serving,
        slots: usize,
        lease: Duration,
        scope: &ClaimScope<'_>,
    ) -> Result<ClaimBatch, DbError> {
        let statement = ClaimStatement::new(worker, serving, lease);
        let rows = self.run_planned(async |db| statement.run(db, slots, scope).await).await?;
        let mut batch = ClaimBatch::default();
        rows.into_iter().for_each(|row| batch.add(row));
        Ok(batch)
    }
}

/// `sql/claim.sql` with what a worker says in each of its claims.
pub(super) struct ClaimStatement<'a> {
    worker: &'a str,
    serving: &'a Serving,
    lease: Duration,
    versions: Vec<String>,
    digests: Vec<String>,
    channels: Channels,
    runnable: Runnable,
}

impl<'a> ClaimStatement<'a> {
    pub(super) fn new(worker: &'a str, serving: &'a Serving, lease: Duration) -> Self {
        let (versions, digests) = serving.versions.iter().cloned().unzip();
        let (channels, runnable) = (Channels::of(serving), Runnable::of(serving));
        Self { worker, serving, lease, versions, digests, channels, runnable }
    }

    pub(super) async fn run(
        &self,
        db: &mut PgConnection,
        slots: usize,
        scope: &ClaimScope<'_>,
    ) -> sqlx::Result<Vec<ClaimRow>> {
        sqlx::query_file_as!(
            ClaimRow,
            "sql/claim.sql",
            &self.versions,
            &self.digests,
            self.serving.default,
            &self.serving.digests,
            i64::try_from(slots).unwrap_or(i64::MAX),
            self.worker,
            i32::try_from(self.lease.as_secs()).unwrap_or(i32::MAX).max(1),
            &self.channels.names,
            &self.channels.active as &[Option<String>],
            &self.channels.versions as &[Option<String>],
            &self.channels.canaries as &[Option<String>],
            &self.channels.percents as &[Option<i32>],
            &self.runnable.channels,
            &self.runnable.versions,
            scope.from.map(|place| place.due),
            scope.from.map(|place| place.job.0),
            scope.only,
        )
        .fetch_all(db)
        .await
    }
}

/// The channels as the columns of an `unnest`.
#[derive(Default)]
pub(super) struct Channels {
    pub(super) names: Vec<String>,
    pub(super) active: Vec<Option<String>>,
    pub(super) versions: Vec<Option<String>>,
    pub(super) canaries: Vec<Option<String>>,
    pub(super) percents: Vec<Option<i32>>,
}

impl Channels {
    pub(super) fn of(serving: &Serving) -> Self {
        let mut columns = Self::default();
        for channel in &serving.channels {
            let (canary, percent) = channel.canary.clone().unzip();
            columns.names.push(channel.name.clone());
            columns.active.push(channel.active.clone());
            columns.versions.push(channel.version.clone());
            columns.canaries.push(canary);
            columns.percents.push(percent);
        }
        columns
    }
}

/// Channels and versions of which at least some jobs can be claimed. Jobs of all others are skipped early.
#[derive(Debug, PartialEq, Eq)]
struct Runnable {
    channels: Vec<String>,
    versions: Vec<String>,
}

impl Runnable {
    fn of(serving: &Serving) -> Self {
        let runs = |digest: &String| serving.digests.contains(digest);
        let active = |channel: &&ServedChannel| channel.active.as_ref().is_some_and(runs);
        let canary = |channel: &&ServedChannel| channel.canary.as_ref().is_some_and(|(digest, _)| runs(digest));
        let channels = serving.channels.iter().filter(|channel| active(channel) || canary(channel));
        // A job that names its channel's version runs the channel's release; elsewhere it runs the version's first one.
        let of_channels = serving.channels.iter().filter(active).filter_map(|channel| channel.version.clone());
        let everywhere = serving.versions.iter().filter(|(_, digest)| runs(digest)).map(|(version, _)| version.clone());
        Self {
            channels: channels.map(|channel| channel.name.clone()).collect(),
            versions: everywhere.chain(of_channels).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_channels_and_versions_that_can_run_are_looked_at() {
        let channel = |name: &str, active: &str, canary: Option<&str>| ServedChannel {
            name: name.to_owned(),
            active: Some(active.to_owned()),
            version: Some(format!("version-of-{active}")),
            canary: canary.map(|digest| (digest.to_owned(), 10)),
        };
        let serving = Serving {
            versions: vec![("v1".to_owned(), "runs".to_owned()), ("v2".to_owned(), "waits".to_owned())],
            default: None,
            channels: vec![
                channel("one", "runs", None),
                channel("two", "waits", None),
                channel("three", "waits", Some("runs")),
            ],
            digests: vec!["runs".to_owned()],
        };
        let runnable = Runnable::of(&serving);
        assert_eq!(runnable.channels, ["one", "three"], "one side of a canary is enough");
        assert_eq!(runnable.versions, ["v1", "version-of-runs"]);
    }
}
