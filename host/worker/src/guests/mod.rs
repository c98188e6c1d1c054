//! The guests this worker has: loaded from `GUEST_DIR`, one file per release, each with the verifier of its schema.
//!
//! Everything that knows wasmtime is in `assay_runtime`; this module knows which guest serves which job, and what a
//! guest's fault means for one.

mod channels;
mod config;
mod findings;
mod registry;
mod release;
mod shared_texts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use assay_core::{
    channel::{Channel, Plan},
    serving::Serving,
};
use assay_runtime::{Compiler, Digest, LoadError, Options, Runtime};
use bytes::Bytes;
use parking_lot::RwLock;

pub use config::{GuestsConfig, GuestsLimits};
use registry::GuestRegistry;
pub use registry::{Loaded, NotLoaded};
pub use release::Release;

/// The core module of the generic guest: with a schema injected it is the host's verifier.
pub static GENERIC: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/dist/core/generic.wasm"));

/// The sandbox in which jobs run, without a guest in it.
///
/// # Errors
/// This machine cannot run guests, or the cache cannot be used.
pub fn sandbox(config: &GuestsConfig, compiler: Compiler) -> anyhow::Result<Runtime> {
    let mut options = Options::new(&config.cache, compiler, Bytes::from_static(GENERIC));
    options.limits = config.limits.sandbox.clone();
    options.threads = config.threads;
    options.wasi = config.wasi;
    Ok(Runtime::new(options)?)
}

/// The schema of a guest whose image is in this machine's cache; none where it is not, or does not load.
pub async fn schema_of_cached(runtime: &Runtime, digest: &str) -> Option<String> {
    let guest = runtime.load_cached(digest.parse().ok()?).await.ok()??;
    Some(guest.manifest().schema.clone())
}

/// The releases of this worker. Cheap to clone; a job keeps the release it resolved, whatever happens here meanwhile.
#[derive(Clone)]
pub struct Guests {
    runtime: Runtime,
    registry: Arc<RwLock<GuestRegistry>>,
    limits: GuestsLimits,
}

impl fmt::Debug for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guests").field(&self.loaded()).finish()
    }
}

impl Guests {
    /// Starts the sandbox and loads every `*.wasm` of the directory.
    ///
    /// A release that does not load is remembered with its reason and does not keep the others from serving.
    ///
    /// # Errors
    /// When the sandbox cannot be set up, the directory cannot be read, two files claim one prompt version, or the
    /// default prompt version is in none of them.
    pub async fn open(config: &GuestsConfig, compiler: Compiler) -> anyhow::Result<Self> {
        let runtime = sandbox(config, compiler)?;
        let registry = GuestRegistry::read(&runtime, config).await?;
        Ok(Self { runtime, registry: Arc::new(RwLock::new(registry)), limits: config.limits.clone() })
    }

    /// What this worker may claim.
    pub fn serving(&self) -> Serving {
        self.registry.read().serving()
    }

    /// The release of a digest, where it is loaded.
    pub fn release(&self, digest: &str) -> Option<Arc<Release>> {
        self.registry.read().release(digest)
    }

    /// What runs in the shadow of `active` in this channel, where that is its active release.
    pub fn shadow_of(&self, channel: &str, active: &str) -> Option<Arc<Release>> {
        self.registry.read().shadow_of(channel, active)
    }

    /// Every release that is loaded.
    pub fn loaded(&self) -> Vec<Loaded> {
        self.registry.read().loaded()
    }

    /// Files of the directory that did not load, and why.
    pub fn not_loaded(&self) -> Vec<NotLoaded> {
        self.registry.read().not_loaded().to_vec()
    }

    /// Digest and file of every release of the directory.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        self.registry.read().files().to_vec()
    }

    /// What a job may ask of its guest, beyond what the sandbox enforces.
    pub fn limits(&self) -> &GuestsLimits {
        &self.limits
    }

    /// Loads a release that only jobs which have pinned it still need; it serves no others.
    ///
    /// # Errors
    /// As for any guest that does not load.
    pub async fn keep(&self, bytes: &[u8]) -> Result<(), LoadError> {
        let release = Release::load(&self.runtime, bytes).await?;
        self.registry.write().keep(release);
        Ok(())
    }

    /// As [`Self::keep`], where the image of the digest is in this machine's cache; whether it is.
    ///
    /// # Errors
    /// As for any guest that does not load.
    pub async fn keep_cached(&self, digest: Digest) -> Result<bool, LoadError> {
        let Some(release) = Release::load_cached(&self.runtime, digest).await? else { return Ok(false) };
        self.registry.write().keep(release);
        Ok(true)
    }

    /// Exchanges what channels run and which releases serve published prompt versions, as far as they are loaded; tells
    /// the channels that run something else now.
    pub fn follow(&self, plan: &Plan) -> Vec<(String, Channel)> {
        self.registry.write().follow(plan)
    }

    /// Drops every release that has served nothing for `patience`, and that no job has pinned. A job in hand has its own hold
    /// of its release. What is said of releases that are not `wanted` any more is forgotten.
    pub fn keep_only(&self, pinned: &[String], wanted: &BTreeSet<String>, patience: Duration) {
        self.registry.write().keep_only(pinned, wanted, patience);
    }

    /// Remembers why a release that is wanted does not load; whether that is news.
    pub fn refuse(&self, digest: &str, reason: &str) -> bool {
        self.registry.write().refuse(digest, reason)
    }

    /// Releases that are wanted and do not load, with the reason.
    pub fn refused(&self) -> BTreeMap<String, String> {
        self.registry.read().refused().clone()
    }
}
