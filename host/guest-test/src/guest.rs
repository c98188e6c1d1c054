//! One guest, for tests that do not want to know of async code.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use assay_conversation::JobLimits;
use assay_runtime::{
    Answer, Call, Compiler, Digest, Finding, LoadError, Manifest, Metering, Options, Runtime, RuntimeError, Step,
    Transcript,
};
use bytes::Bytes;

use crate::{
    fixture::Fixture,
    trial::{self, Trial, Trouble},
};

/// More than a call burns in its time: fuel is counted here, and the clock is what bounds a call.
const FUEL: u64 = 1 << 50;

/// A guest in its sandbox. Every call has a fresh one, as in a worker.
pub struct Guest {
    guest: assay_runtime::Guest,
}

/// Why a guest cannot be tested.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The file.
    #[error("read {path}: {error}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says; part of the message, so no source beside it.
        error: io::Error,
    },
    /// A rule of admission.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// The options of a runtime for tests: a worker's limits, and fuel is counted. `generic` is the core module that verifiers are made
/// of; empty where none are needed.
pub fn harness(cache: PathBuf, compiler: Compiler, generic: Bytes) -> Options {
    Options { metering: Metering::Fuel(FUEL), ..Options::new(cache, compiler, generic) }
}

impl Guest {
    /// Admits the component in a file.
    ///
    /// # Errors
    /// [`GuestError`].
    ///
    /// # Panics
    /// When this machine cannot run guests at all.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, GuestError> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| GuestError::Unreadable { path: path.to_owned(), error })?;
        Self::from_bytes(&bytes)
    }

    /// Admits a component.
    ///
    /// # Errors
    /// [`GuestError::Load`].
    ///
    /// # Panics
    /// As [`Self::load`].
    pub fn from_bytes(component: &[u8]) -> Result<Self, GuestError> {
        let engine = Engine::shared();
        Ok(Self { guest: engine.threads.block_on(engine.runtime.load(component))? })
    }

    /// sha256 of the component.
    pub fn digest(&self) -> Digest {
        self.guest.digest()
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        self.guest.manifest()
    }

    /// One step.
    pub fn advance(&self, transcript: &Transcript, answers: &[Answer]) -> Call<Step> {
        let transcript = Arc::new(transcript.clone());
        Engine::shared().threads.block_on(self.guest.advance(&transcript, answers))
    }

    /// Validates a document.
    pub fn check(&self, document: &str) -> Call<Vec<Finding>> {
        Engine::shared().threads.block_on(self.guest.check(document))
    }

    /// Runs a fixture, twice.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn trial(&self, fixture: &Fixture) -> Result<Trial, Trouble> {
        Engine::shared().threads.block_on(trial::run(&self.guest, fixture, &JobLimits::default()))
    }
}

/// What all guests of a test process share.
struct Engine {
    runtime: Runtime,
    threads: tokio::runtime::Runtime,
}

impl Engine {
    fn shared() -> &'static Self {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        ENGINE.get_or_init(|| Self::start().expect("this machine can run guests"))
    }

    fn start() -> Result<Self, RuntimeError> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(RuntimeError::Threads)?;
        let runtime = threads.block_on(async { Runtime::new(harness(cache(), Compiler::InProcess, Bytes::new())) })?;
        Ok(Self { runtime, threads })
    }
}

/// Compiled guests stay in the user's cache folder, so that a test that runs again takes no time to compile.
fn cache() -> PathBuf {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("assay").join("guest-test")
}
