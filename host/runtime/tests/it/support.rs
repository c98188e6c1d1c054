//! Runtimes and documents for the tests.

use std::{path::Path, sync::Arc};

use assay_runtime::{
    Answer, Call, Compiler, Guest, Limits, LoadError, Options, Runtime, Step, Transcript, testing::WatGuest,
};
use bytes::Bytes;
use tempfile::TempDir;

/// A runtime with a cache of its own, which goes with it.
pub struct Bench {
    pub runtime: Runtime,
    pub folder: TempDir,
}

/// Options that compile here, with 4 threads.
pub fn options(folder: &Path) -> Options {
    let mut options = Options::new(folder.join("cache"), Compiler::InProcess, Bytes::new());
    options.threads = Some(4);
    options
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(|options| change(&mut options.limits))
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        change(&mut options);
        Self { runtime: Runtime::new(options).unwrap(), folder }
    }

    pub async fn load(&self, guest: WatGuest) -> Guest {
        self.runtime.load(&guest.build()).await.unwrap()
    }

    pub async fn refusal(&self, bytes: &[u8]) -> LoadError {
        self.runtime.load(bytes).await.unwrap_err()
    }

    /// Loads a guest and runs its first step.
    pub async fn first_step(&self, guest: WatGuest) -> Call<Step> {
        self.load(guest).await.advance(&transcript(), &[]).await
    }

    /// The images in the cache.
    pub fn images(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("cache")).unwrap();
        let mut images: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        images.sort();
        images
    }
}

pub fn transcript() -> Arc<Transcript> {
    Arc::new(Transcript {
        id: "file-1".into(),
        text: "Anna: shall we ship on Friday?".into(),
        media_type: "text/plain".into(),
        filename: "call.txt".into(),
        received_at: "2026-03-02T10:00:00Z".into(),
        attributes: vec![("team".into(), "core".into())],
    })
}

pub fn answer(text: &str) -> Answer {
    Answer { text: text.into(), model: "test".into() }
}
