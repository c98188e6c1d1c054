//! Following the channels: every worker loads what they run, and exchanges it between two jobs.
//!
//! A job pins a digest at its first claim, and its retries run on the same one. So workers put the guests of `GUEST_DIR`
//! into the bucket under their digest, as publishing does, and fetch from there what is wanted and they do not have.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use assay_core::channel::{Channel, Plan};
use assay_db::{Database, Listener};
use assay_objects::Objects;
use assay_runtime::Digest;
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{guests::Guests, metrics::Metrics};

/// How long a release stays that serves nothing any more: a claim that was under way at the exchange may have pinned it, which
/// the look before did not see.
const KEPT: Duration = Duration::from_secs(60);

/// The guests that this worker shares and fetches.
#[derive(Clone, Debug)]
pub struct Releases {
    /// What is loaded.
    pub guests: Guests,
    /// What is pinned.
    pub database: Database,
    /// Where the bytes are.
    pub objects: Objects,
    /// What is counted.
    pub metrics: Metrics,
    /// Time between two looks, jittered by a fifth; notifications only speed them up.
    pub every: Duration,
}

impl Releases {
    /// Loads what the channels run before the first job is claimed. False where the database does not say what that is.
    pub async fn begin(&self) -> bool {
        let Some(plan) = self.plan().await else { return false };
        let loads = self.missing(&plan).into_iter().map(|digest| async move { self.load(&digest).await });
        futures::future::join_all(loads).await;
        // Loading takes its time, in which the operator may have taken the change back.
        let Some(plan) = self.plan().await else { return false };
        self.exchange(plan);
        true
    }

    /// Shares this worker's guests and follows the channels, until `stop`. What is loaded is exchanged at once: neither a load nor a
    /// bucket that hangs holds up another release, or a rollback.
    pub async fn run(self, listener: Listener, stop: CancellationToken) {
        let mut loads = Loads::default();
        let sharing = tokio::spawn(self.clone().share(stop.clone()));
        loop {
            // Interest first, look second: what is changed in between wakes us.
            let mut changed = std::pin::pin!(listener.releases_changed());
            changed.as_mut().enable();
            let plan = tokio::select! {
                () = stop.cancelled() => break,
                plan = self.plan() => plan,
            };
            if let Some(plan) = plan {
                let missing = self.missing(&plan);
                if self.exchange(plan) {
                    // Jobs may wait for what runs only now.
                    listener.wake();
                }
                loads.start(&self, missing);
            }
            let pause = self.every.mul_f64(rand::random_range(0.8..1.2));
            tokio::select! {
                () = stop.cancelled() => break,
                () = changed => {}
                () = tokio::time::sleep(pause) => {}
                () = loads.next() => {}
            }
        }
        let _ended = sharing.await;
    }

    /// What is wanted and not loaded.
    fn missing(&self, plan: &Plan) -> BTreeSet<String> {
        wanted(plan).into_iter().filter(|digest| self.guests.release(digest).is_none()).collect()
    }

    /// Exchanges what channels run, as far as it is loaded, and drops what serves nobody any more; whether anything is different.
    fn exchange(&self, plan: Plan) -> bool {
        let wanted = wanted(&plan);
        let changed = self.guests.follow(&plan);
        for (name, channel) in &changed {
            tell(name, channel);
        }
        self.guests.keep_only(&plan.pinned, &wanted, KEPT);
        self.metrics.releases_refused.set(i64::try_from(self.guests.refused().len()).unwrap_or(i64::MAX));
        !changed.is_empty()
    }

    async fn plan(&self) -> Option<Plan> {
        match self.database.release_plan().await {
            Ok(plan) => Some(plan),
            Err(error) => {
                tracing::warn!(%error, "look for releases");
                None
            }
        }
    }

    /// Loads one; a release that does not load is told of once for each reason.
    async fn load(&self, digest: &str) {
        let Err(error) = self.fetch(digest).await else {
            return tracing::info!(guest.digest = digest, "release loaded");
        };
        let error = format!("{error:#}");
        if self.guests.refuse(digest, &error) {
            tracing::error!(guest.digest = digest, error, "release does not load; what ran before goes on");
        }
    }

    /// Puts the guests of `GUEST_DIR` where every worker finds them. Without the right to do so everything works, until
    /// a file is replaced while jobs that have pinned it wait.
    async fn share(self, stop: CancellationToken) {
        let mut unshared = self.guests.files();
        while !unshared.is_empty() {
            let mut left = Vec::new();
            for (digest, file) in unshared.drain(..) {
                let shared = tokio::select! {
                    () = stop.cancelled() => return,
                    shared = self.share_one(&digest, &file) => shared,
                };
                if let Err(error) = shared {
                    let error = format!("{error:#}");
                    tracing::warn!(guest.digest = digest, error, "keep a copy of the guest in the bucket");
                    left.push((digest, file));
                }
            }
            unshared = left;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }

    async fn share_one(&self, digest: &str, file: &Path) -> anyhow::Result<()> {
        let (bucket, key) = (self.objects.bucket(), key(digest));
        if self.objects.exists(bucket, &key).await? {
            return Ok(());
        }
        let bytes = tokio::fs::read(file).await.context("read the guest again")?;
        ensure!(Digest::of(&bytes).to_string() == digest, "the file has changed since it was loaded");
        self.objects.write(bucket, &key, "application/wasm", Bytes::from(bytes)).await?;
        Ok(())
    }

    async fn fetch(&self, digest: &str) -> anyhow::Result<()> {
        let expected = Digest::from_str(digest).context("the pinned digest is none")?;
        // A worker that ran it before has its image, and needs neither its bytes nor the bucket. What is wrong with the cache the
        // bytes mend.
        if self.guests.keep_cached(expected).await.unwrap_or(false) {
            return Ok(());
        }
        let limit = self.guests.limits().sandbox.component_bytes;
        let bytes = self.objects.read(self.objects.bucket(), &key(digest), limit).await?;
        ensure!(Digest::of(&bytes) == expected, "the bytes in the bucket are not those of the digest");
        self.guests.keep(&bytes).await?;
        Ok(())
    }
}

/// Loads under way, each release once, and those that failed just now.
#[derive(Default)]
struct Loads {
    tasks: JoinSet<String>,
    under_way: HashSet<String>,
    failed: HashMap<String, Instant>,
}

impl Loads {
    /// Starts to load what is missing, but for what is being loaded and what failed a moment ago.
    fn start(&mut self, releases: &Releases, missing: BTreeSet<String>) {
        self.failed.retain(|_, at| at.elapsed() < releases.every / 2);
        for digest in missing {
            if self.failed.contains_key(&digest) || !self.under_way.insert(digest.clone()) {
                continue;
            }
            let releases = releases.clone();
            self.tasks.spawn(async move {
                releases.load(&digest).await;
                digest
            });
        }
    }

    /// Completes when a load has ended, well or not; never where none is under way.
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

/// Every digest of a plan, once.
fn wanted(plan: &Plan) -> BTreeSet<String> {
    let channels = plan.channels.iter().flat_map(|(_, channel)| channel.digests()).map(str::to_owned);
    let versions = plan.versions.iter().map(|(_, digest)| digest.clone());
    channels.chain(versions).chain(plan.pinned.iter().cloned()).collect()
}

/// Says loudly that a channel runs something else from now on.
fn tell(name: &str, channel: &Channel) {
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

/// Where a guest lies in the bucket.
pub fn key(digest: &str) -> String {
    format!("guests/{digest}.wasm")
}
