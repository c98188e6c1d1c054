//! Follows the channels: every worker loads the releases that they run, and exchanges them between two jobs.
//!
//! A job pins a digest at its first claim, and its retries run on the same one. So workers copy the guests of `GUEST_DIR` into
//! the bucket, under their digest, as publishing does. They fetch missing releases from there.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use assay_core::{
    channel::{Channel, Plan},
    object_keys::guest_key,
};
use assay_db::{Database, Listener};
use assay_objects::Objects;
use assay_runtime::Digest;
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    guests::{loaded_guests::Guests, registry::read},
    maintenance::every::{Rounds, every},
    metrics::Metrics,
};

/// How long a release stays loaded after it stops serving: a claim during the exchange may have pinned it.
const IDLE_RELEASE_TIME: Duration = Duration::from_secs(60);

/// Loads and exchanges the releases that channels run.
#[derive(Clone, Debug)]
pub struct ReleaseFollower {
    pub guests: Guests,
    pub database: Database,
    pub objects: Objects,
    pub metrics: Metrics,
    /// Time between two looks at the plan; notifications only speed them up.
    pub period: Duration,
}

impl ReleaseFollower {
    /// Loads what the channels run, before the first claim. Returns false when the database does not return the plan.
    pub async fn load_initial(&self) -> bool {
        let Some(plan) = self.plan().await else { return false };
        let loads = self.missing(&plan).into_iter().map(|digest| async move { self.load(&digest).await });
        futures::future::join_all(loads).await;
        // The operator may have changed the plan while releases were loaded.
        let Some(plan) = self.plan().await else { return false };
        self.exchange(plan);
        true
    }

    /// Shares this worker's guests and follows the channels until `stop`.
    ///
    /// A loaded release is exchanged at once: a load or a bucket that hangs delays no other release and no rollback.
    pub async fn run(self, listener: Listener, stop: CancellationToken) {
        let mut loads = Loads::default();
        let sharing = tokio::spawn(self.clone().share_guests(every(self.period, &stop), stop.clone()));
        let mut rounds = every(self.period, &stop);
        loop {
            // Register first, query second: a change in between wakes the loop.
            let mut changed = std::pin::pin!(listener.releases_changed());
            changed.as_mut().enable();
            let plan = tokio::select! {
                () = stop.cancelled() => break,
                plan = self.plan() => plan,
            };
            if let Some(plan) = plan {
                let missing = self.missing(&plan);
                if self.exchange(plan) {
                    // Jobs may wait for a release that is loaded now.
                    listener.wake();
                }
                loads.start(&self, missing);
            }
            tokio::select! {
                more = rounds.next() => if !more { break },
                () = changed => {}
                () = loads.next() => {}
            }
        }
        let _ended = sharing.await;
    }

    /// Returns the wanted releases that are not loaded.
    fn missing(&self, plan: &Plan) -> BTreeSet<String> {
        wanted(plan).into_iter().filter(|digest| self.guests.release(digest).is_none()).collect()
    }

    /// Exchanges what channels run, as far as it is loaded, and drops idle releases. Returns whether a channel changed.
    fn exchange(&self, plan: Plan) -> bool {
        let wanted = wanted(&plan);
        let changed = self.guests.follow(&plan);
        for (name, channel) in &changed {
            log_exchange(name, channel);
        }
        self.guests.keep_only(&plan.pinned, &wanted, IDLE_RELEASE_TIME);
        self.metrics.releases_refused.set(i64::try_from(self.guests.refused().len()).unwrap_or(i64::MAX));
        !changed.is_empty()
    }

    async fn plan(&self) -> Option<Plan> {
        match self.database.release_plan().await {
            Ok(plan) => Some(plan),
            Err(error) => {
                tracing::warn!(%error, "search for releases failed");
                None
            }
        }
    }

    /// Loads one release. Logs a failure once for each reason.
    async fn load(&self, digest: &str) {
        let Err(error) = self.fetch(digest).await else {
            return tracing::info!(guest.digest = digest, "release loaded");
        };
        let error = format!("{error:#}");
        if self.guests.refuse(digest, &error) {
            tracing::error!(guest.digest = digest, error, "release does not load; what ran before goes on");
        }
    }

    /// Copies the guests of `GUEST_DIR` into the bucket, for all workers.
    ///
    /// A worker without the right to do so works, until a file is replaced while jobs that pinned it wait.
    async fn share_guests(self, mut rounds: Rounds, stop: CancellationToken) {
        let mut unshared = self.guests.files();
        while !unshared.is_empty() {
            let mut left = Vec::new();
            for (digest, file) in unshared {
                let shared = stop.run_until_cancelled(self.share_guest(&digest, &file)).await;
                let Some(shared) = shared else { return };
                if let Err(error) = shared {
                    let error = format!("{error:#}");
                    tracing::warn!(guest.digest = digest, error, "guest was not copied into the bucket");
                    left.push((digest, file));
                }
            }
            unshared = left;
            if !rounds.next().await {
                return;
            }
        }
    }

    async fn share_guest(&self, digest: &str, file: &Path) -> anyhow::Result<()> {
        let (bucket, key) = (self.objects.bucket(), guest_key(digest));
        if self.objects.exists(bucket, &key).await? {
            return Ok(());
        }
        let bytes = read(file, self.guests.limits().sandbox.component_bytes).context("read the guest again")?;
        ensure!(Digest::of(&bytes).to_string() == digest, "the file has changed since it was loaded");
        self.objects.write(bucket, &key, "application/wasm", Bytes::from(bytes)).await?;
        Ok(())
    }

    async fn fetch(&self, digest: &str) -> anyhow::Result<()> {
        let expected = Digest::from_str(digest).context("the pinned digest is not a sha256")?;
        // With an image in the cache, the worker needs no bytes from the bucket. After an error of the cache, it fetches them.
        if self.guests.keep_cached(expected).await.unwrap_or(false) {
            return Ok(());
        }
        let limit = self.guests.limits().sandbox.component_bytes;
        let bytes = self.objects.read(self.objects.bucket(), &guest_key(digest), limit).await?;
        ensure!(Digest::of(&bytes) == expected, "the bytes in the bucket do not match the digest");
        self.guests.keep(&bytes).await?;
        Ok(())
    }
}

/// Loads under way, each release once, and recent failures.
#[derive(Default)]
struct Loads {
    tasks: JoinSet<String>,
    under_way: HashSet<String>,
    failed: HashMap<String, Instant>,
}

impl Loads {
    /// Starts to load missing releases, except those under way and those that just failed.
    fn start(&mut self, follower: &ReleaseFollower, missing: BTreeSet<String>) {
        self.failed.retain(|_, at| at.elapsed() < follower.period / 2);
        for digest in missing {
            if self.failed.contains_key(&digest) || !self.under_way.insert(digest.clone()) {
                continue;
            }
            let follower = follower.clone();
            self.tasks.spawn(async move {
                follower.load(&digest).await;
                digest
            });
        }
    }

    /// Completes when a load ends, with or without success. Never completes when none is under way.
    async fn next(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(digest)) => {
                self.under_way.remove(&digest);
                self.failed.insert(digest, Instant::now());
            }
            Some(Err(_panic)) => tracing::error!("a load panicked; the release is not tried again"),
            None => std::future::pending().await,
        }
    }
}

/// Returns every digest of a plan, once.
fn wanted(plan: &Plan) -> BTreeSet<String> {
    let channels = plan.channels.iter().flat_map(|(_, channel)| channel.digests()).map(str::to_owned);
    let versions = plan.versions.iter().map(|(_, digest)| digest.clone());
    channels.chain(versions).chain(plan.pinned.iter().cloned()).collect()
}

fn log_exchange(name: &str, channel: &Channel) {
    let canary = channel.canary.as_ref();
    match &channel.active {
        Some(active) => tracing::warn!(
            channel = name,
            guest.digest = active,
            canary.digest = canary.map(|canary| canary.digest.as_str()),
            canary.percent = canary.map(|canary| canary.percent),
            "channel exchanged"
        ),
        None => tracing::warn!(channel = name, "channel has no release here"),
    }
}
