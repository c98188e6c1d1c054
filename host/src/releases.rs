//! Keeping guests loadable that jobs have pinned, although their file has left `GUEST_DIR`.
//!
//! A job pins a digest at its first claim, and its retries run on the same one. So every worker puts its guests into the
//! bucket under their digest, and fetches from there what live jobs have pinned and it does not have.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, ensure};
use assay_runtime::Digest;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{db::Database, guests::Guests, objects::Objects};

/// How often a worker looks for pinned digests that it lacks, jittered by a fifth.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The guests that this worker shares and fetches.
#[derive(Clone, Debug)]
pub struct Releases {
    /// What is loaded.
    pub guests: Guests,
    /// What is pinned.
    pub database: Database,
    /// Where the bytes are.
    pub objects: Objects,
}

impl Releases {
    /// Shares this worker's guests and fetches what is pinned, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut unshared = self.guests.files();
        loop {
            let pause = LOOK_EVERY.mul_f64(rand::random_range(0.8..1.2));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.share(&mut unshared) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.fetch_pinned() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Puts the guests of `GUEST_DIR` where every worker finds them. Without the right to do so everything works, until
    /// a file is replaced while jobs that have pinned it wait.
    async fn share(&self, unshared: &mut Vec<(String, PathBuf)>) {
        let mut left = Vec::new();
        for (digest, file) in unshared.drain(..) {
            if let Err(error) = self.share_one(&digest, &file).await {
                let error = format!("{error:#}");
                tracing::warn!(guest.digest = digest, error, "keep a copy of the guest in the bucket");
                left.push((digest, file));
            }
        }
        *unshared = left;
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

    /// Fetches what live jobs have pinned, and drops what was fetched for jobs that have ended.
    async fn fetch_pinned(&self) {
        let pinned = match self.database.pinned_digests().await {
            Ok(pinned) => pinned,
            Err(error) => return tracing::debug!(%error, "look for pinned guests"),
        };
        self.guests.keep_only(&pinned);
        for digest in pinned.iter().filter(|digest| self.guests.release(digest).is_none()) {
            match self.fetch(digest).await {
                Ok(()) => tracing::info!(guest.digest = digest, "guest loaded for jobs that have pinned it"),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(guest.digest = digest, error, "jobs wait for a guest that this worker cannot load");
                }
            }
        }
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

/// Where a guest lies in the bucket.
fn key(digest: &str) -> String {
    format!("guests/{digest}.wasm")
}
