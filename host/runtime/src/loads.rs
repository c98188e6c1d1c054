//! Loads that callers share: one per digest, however many ask.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Instant,
};

use assay_core::digest::Digest;
use parking_lot::Mutex;

use crate::load_error::LoadError;

/// Loaded values and running loads, by digest. Keeps no value alive.
pub(crate) struct Loads<T>(Mutex<HashMap<Digest, Arc<Load<T>>>>);

type Load<T> = tokio::sync::Mutex<LoadOutcome<T>>;

/// The end of a digest's last load.
struct LoadOutcome<T> {
    alive: Weak<T>,
    failed: Option<(Instant, LoadError)>,
}

impl<T> Default for Loads<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Loads<T> {
    /// Returns the live value of `digest`.
    pub(crate) fn alive(&self, digest: Digest) -> Option<Arc<T>> {
        let load = self.0.lock().get(&digest).cloned()?;
        let outcome = load.try_lock().ok()?;
        outcome.alive.upgrade()
    }

    /// Returns the live value of `digest`, else runs `load`. A caller that waited during a failed load gets the same error. A later
    /// caller, or one that waited for a load without a value, loads again.
    pub(crate) async fn get(
        &self,
        digest: Digest,
        load: impl AsyncFnOnce() -> Result<Option<Arc<T>>, LoadError>,
    ) -> Result<Option<Arc<T>>, LoadError> {
        let asked = Instant::now();
        let entry = self.entry(digest);
        let mut outcome = entry.lock().await;
        if let Some(alive) = outcome.alive.upgrade() {
            return Ok(Some(alive));
        }
        if let Some((at, error)) = &outcome.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let loaded = load().await;
        match &loaded {
            Ok(Some(loaded)) => *outcome = LoadOutcome { alive: Arc::downgrade(loaded), failed: None },
            Ok(None) => {}
            Err(error) => outcome.failed = Some((Instant::now(), error.clone())),
        }
        loaded
    }

    fn entry(&self, digest: Digest) -> Arc<Load<T>> {
        let mut loads = self.0.lock();
        // Without a waiting caller or a live value, an entry is dropped: the map stays as small as its use.
        loads.retain(|_, load| {
            Arc::strong_count(load) > 1 || load.try_lock().is_ok_and(|outcome| outcome.alive.strong_count() > 0)
        });
        let fresh = || Arc::new(Load::new(LoadOutcome { alive: Weak::new(), failed: None }));
        Arc::clone(loads.entry(digest).or_insert_with(fresh))
    }
}
