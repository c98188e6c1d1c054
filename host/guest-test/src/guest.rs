//! A guest for tests without async code.

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
    trial::{Trial, TrialError, run_fixture},
};

/// More than a call can use in its time: fuel is counted, and time bounds the call.
const UNREACHABLE_FUEL: u64 = 1 << 50;

/// A loaded guest. Every call gets a fresh sandbox, as in a worker.
pub struct Guest {
    guest: assay_runtime::Guest,
}

/// Why a guest does not load in a test.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The file cannot be read.
    #[error("read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error. It is part of the message, so it is not a source too.
        error: io::Error,
    },
    /// The guest breaks a rule of admission.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Returns options of a runtime for tests: a worker's limits, with fuel counted. `generic` is the core module for verifiers; empty
/// if there are none.
pub fn harness(cache: impl Into<Option<PathBuf>>, compiler: Compiler, generic: Bytes) -> Options {
    let metering = Metering::Fuel(UNREACHABLE_FUEL);
    Options { cache: cache.into(), metering, ..Options::in_memory(compiler, generic) }
}

impl Guest {
    /// Loads the component in a file.
    ///
    /// # Errors
    /// [`GuestError`].
    ///
    /// # Panics
    /// When this machine cannot run guests.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, GuestError> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| GuestError::Unreadable { path: path.to_owned(), error })?;
        Self::from_bytes(&bytes)
    }

    /// Loads a component.
    ///
    /// # Errors
    /// [`GuestError::Load`].
    ///
    /// # Panics
    /// As [`Self::load`].
    pub fn from_bytes(component: &[u8]) -> Result<Self, GuestError> {
        let engine = SharedRuntime::shared();
        Ok(Self { guest: engine.threads.block_on(engine.runtime.load(component))? })
    }

    /// Returns the sha256 of the component.
    pub fn digest(&self) -> Digest {
        self.guest.digest()
    }

    /// Returns the guest's manifest.
    pub fn manifest(&self) -> &Manifest {
        self.guest.manifest()
    }

    /// Runs one step.
    pub fn advance(&self, transcript: &Transcript, answers: &[Answer]) -> Call<Step> {
        let transcript = Arc::new(transcript.clone());
        SharedRuntime::shared().threads.block_on(self.guest.advance(&transcript, answers))
    }

    /// Validates a document, JSON as text.
    pub fn check(&self, document: &str) -> Call<Vec<Finding>> {
        SharedRuntime::shared().threads.block_on(self.guest.check(document))
    }

    /// Runs a fixture twice, within the default limits of a job.
    ///
    /// # Errors
    /// [`TrialError`].
    pub fn trial(&self, fixture: &Fixture) -> Result<Trial, TrialError> {
        SharedRuntime::shared().threads.block_on(run_fixture(&self.guest, fixture, &JobLimits::default()))
    }
}

/// The runtime and threads of all guests in a test process.
struct SharedRuntime {
    runtime: Runtime,
    threads: tokio::runtime::Runtime,
}

impl SharedRuntime {
    fn shared() -> &'static Self {
        static SHARED: OnceLock<SharedRuntime> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().expect("this machine can run guests"))
    }

    fn start() -> Result<Self, RuntimeError> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(RuntimeError::Threads)?;
        let runtime =
            threads.block_on(async { Runtime::new(harness(cache_folder(), Compiler::InProcess, Bytes::new())) })?;
        Ok(Self { runtime, threads })
    }
}

/// Returns a folder in the user's cache: a test that runs again compiles nothing.
#[expect(clippy::disallowed_methods, reason = "runs in tests of guests, which have no configuration of their own")]
fn cache_folder() -> PathBuf {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("assay").join("guest-test")
}
