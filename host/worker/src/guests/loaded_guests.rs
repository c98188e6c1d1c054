//! The loaded guests, shared by every part of a worker.

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
use assay_runtime::{Compiler, Digest, LoadError, Runtime};
use parking_lot::RwLock;

use crate::guests::{
    config::{GuestsConfig, GuestsLimits},
    registry::{GuestRegistry, LoadedRelease, UnloadedFile},
    release::Release,
    sandbox::sandbox,
};

/// The releases of this worker. Cheap to clone. A job keeps the release that it resolved, also when it is dropped here.
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
    /// Remembers a file that does not load with its reason; the others serve.
    ///
    /// # Errors
    /// When the sandbox cannot be set up, the directory cannot be read, two files claim one prompt version, or no file has
    /// the default prompt version.
    pub async fn open(config: &GuestsConfig, compiler: Compiler) -> anyhow::Result<Self> {
        let runtime = sandbox(config, compiler)?;
        let registry = GuestRegistry::read(&runtime, config).await?;
        Ok(Self { runtime, registry: Arc::new(RwLock::new(registry)), limits: config.limits.clone() })
    }

    /// Returns what this worker may claim.
    pub fn serving(&self) -> Serving {
        self.registry.read().serving()
    }

    /// Returns the release of a digest, if it is loaded.
    pub fn release(&self, digest: &str) -> Option<Arc<Release>> {
        self.registry.read().release(digest)
    }

    /// Returns the candidate in the shadow of `active`, if that is the active release of the channel.
    pub fn shadow_of(&self, channel: &str, active: &str) -> Option<Arc<Release>> {
        self.registry.read().shadow_of(channel, active)
    }

    pub fn loaded(&self) -> Vec<LoadedRelease> {
        self.registry.read().loaded()
    }

    /// Returns the files of the directory that did not load, with the reason.
    pub fn not_loaded(&self) -> Vec<UnloadedFile> {
        self.registry.read().not_loaded().to_vec()
    }

    /// Returns digest and file of every release of the directory.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        self.registry.read().files().to_vec()
    }

    pub fn limits(&self) -> &GuestsLimits {
        &self.limits
    }

    /// Loads a release. It serves only jobs that pinned it, until a channel runs it.
    ///
    /// # Errors
    /// [`LoadError`], when the guest does not load.
    pub async fn keep(&self, bytes: &[u8]) -> Result<(), LoadError> {
        let release = Release::load(&self.runtime, bytes).await?;
        self.registry.write().keep(release);
        Ok(())
    }

    /// Does the same from this machine's cache. Returns whether the cache has the image.
    ///
    /// # Errors
    /// [`LoadError`], when the guest does not load.
    pub async fn keep_cached(&self, digest: Digest) -> Result<bool, LoadError> {
        let Some(release) = Release::load_cached(&self.runtime, digest).await? else { return Ok(false) };
        self.registry.write().keep(release);
        Ok(true)
    }

    /// Exchanges the releases of channels and of published prompt versions, as far as they are loaded. Returns the channels that
    /// changed.
    pub fn follow(&self, plan: &Plan) -> Vec<(String, Channel)> {
        self.registry.write().follow(plan)
    }

    /// Drops releases that were neither serving nor pinned for `patience`. Running jobs keep theirs. Forgets the load errors of
    /// releases that are no longer `wanted`.
    pub fn keep_only(&self, pinned: &[String], wanted: &BTreeSet<String>, patience: Duration) {
        self.registry.write().keep_only(pinned, wanted, patience);
    }

    /// Remembers why a wanted release failed to load. Returns whether the reason is new.
    pub fn refuse(&self, digest: &str, reason: &str) -> bool {
        self.registry.write().refuse(digest, reason)
    }

    /// Returns the wanted releases that failed to load, with the reason.
    pub fn refused(&self) -> BTreeMap<String, String> {
        self.registry.read().refused().clone()
    }
}
