//! Taking jobs: one statement per batch, without an open transaction.

use std::{sync::Arc, time::Duration};

use assay_core::{
    claim::{Claim, QueuePosition},
    file_info::FileInfo,
    ids::{FileId, JobId, UserId},
    lease::{Lease, LeaseToken},
    serving::{ServedChannel, Serving},
};
use sqlx::types::Json;

use crate::{
    database::Database,
    error::DbError,
    rows::{JournalRow, attributes, media_type},
};

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
    /// # Errors
    /// [`DbError`]; jobs of a lost answer can be claimed again when their lease expires.
    pub async fn claim(
        &self,
        worker: &str,
        serving: &Serving,
        slots: usize,
        lease: Duration,
        from: Option<QueuePosition>,
    ) -> Result<Vec<Claim>, DbError> {
        let (versions, digests): (Vec<_>, Vec<_>) = serving.versions.iter().cloned().unzip();
        let (channels, runnable) = (Channels::of(serving), Runnable::of(serving));
        let rows = self
            .run(async |db| {
                sqlx::query_file!(
                    "sql/claim.sql",
                    &versions,
                    &digests,
                    serving.default,
                    &serving.digests,
                    i64::try_from(slots).unwrap_or(i64::MAX),
                    worker,
                    i32::try_from(lease.as_secs()).unwrap_or(i32::MAX).max(1),
                    &channels.names,
                    &channels.active as &[Option<String>],
                    &channels.versions as &[Option<String>],
                    &channels.canaries as &[Option<String>],
                    &channels.percents as &[Option<i32>],
                    &runnable.channels,
                    &runnable.versions,
                    from.map(|place| place.due),
                    from.map(|place| place.job.0),
                )
                .fetch_all(db)
                .await
            })
            .await?;

        rows.into_iter()
            .map(|row| {
                Ok(Claim {
                    lease: Lease { job: JobId(row.id), token: LeaseToken(row.lease_token) },
                    attempts: row.attempts,
                    max_attempts: row.max_attempts,
                    snoozes: row.snoozes,
                    life: row.life,
                    channel: row.channel,
                    prompt_version: row.prompt_version,
                    guest_digest: row.guest_digest,
                    position: QueuePosition { due: row.next_run_at, job: JobId(row.id) },
                    lag: Duration::try_from_secs_f64(row.lag).unwrap_or_default(),
                    file: Arc::new(FileInfo {
                        id: FileId(row.file_id),
                        user: UserId(row.user_id),
                        bucket: row.storage_bucket,
                        original_key: row.storage_key_original,
                        filename: row.original_filename,
                        media_type: media_type(&row.extension).to_owned(),
                        received_at: row.received_at,
                        attributes: attributes(row.attributes),
                    }),
                    journal: row.journal.0.into_iter().map(JournalRow::decode).collect::<Result<_, _>>()?,
                })
            })
            .collect()
    }
}

/// The channels as the columns of an `unnest`.
#[derive(Default)]
struct Channels {
    names: Vec<String>,
    active: Vec<Option<String>>,
    versions: Vec<Option<String>>,
    canaries: Vec<Option<String>>,
    percents: Vec<Option<i32>>,
}

impl Channels {
    fn of(serving: &Serving) -> Self {
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
