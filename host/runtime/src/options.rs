//! How a runtime is set up.

use std::{ffi::OsString, path::PathBuf};

use bytes::Bytes;

use crate::limits::Limits;

/// What [`crate::Runtime::new`] needs to know.
#[derive(Clone)]
pub struct Options {
    /// How much a guest may take.
    pub limits: Limits,
    /// The folder of compiled guests. Made if it is missing; must belong to this user alone (0700). Processes may share it.
    pub cache: PathBuf,
    /// How large the folder may grow, in bytes; the least recently used goes first.
    pub cache_bytes: u64,
    /// Where guests are compiled.
    pub compiler: Compiler,
    /// Threads for guest calls; none is the number of cores, and at least 4.
    pub threads: Option<usize>,
    /// The core module of the generic guest, which verifiers are made from. Empty: there are no verifiers.
    pub generic: Bytes,
    /// Whether guests count fuel.
    pub metering: Metering,
    /// Where the memory of calls comes from.
    pub allocation: Allocation,
    /// Whether guests that import WASI are let in.
    pub wasi: Wasi,
}

impl Options {
    /// The defaults of the design, with a cache of 2 GiB.
    pub fn new(cache: impl Into<PathBuf>, compiler: Compiler, generic: Bytes) -> Self {
        Self {
            limits: Limits::default(),
            cache: cache.into(),
            cache_bytes: 2 << 30,
            compiler,
            threads: None,
            generic,
            metering: Metering::Off,
            allocation: Allocation::Auto,
            wasi: Wasi::Off,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("limits", &self.limits)
            .field("cache", &self.cache)
            .field("cache_bytes", &self.cache_bytes)
            .field("compiler", &self.compiler)
            .field("threads", &self.threads)
            .field("generic_bytes", &self.generic.len())
            .field("metering", &self.metering)
            .field("allocation", &self.allocation)
            .field("wasi", &self.wasi)
            .finish()
    }
}

/// Where guests are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// On a thread of this process: for tests and tools. A guest that the compiler cannot take costs the process.
    InProcess,
    /// In a child process that ends after each guest: its memory comes back, and what goes wrong stays there.
    Child {
        /// A program that calls [`crate::compiler::child_main`].
        program: PathBuf,
        /// Its arguments.
        args: Vec<OsString>,
    },
}

/// Whether guests count fuel: a budget that is the same on every machine, but makes them slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metering {
    /// Time alone bounds a call.
    Off,
    /// Each call may also use this much fuel.
    Fuel(u64),
}

/// Where the memory of calls comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// The pool where its address space can be had, else on demand.
    Auto,
    /// The pool, or an error.
    Pooling,
    /// Made for each call, in little address space.
    OnDemand,
}

/// What becomes of guests that import WASI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wasi {
    /// They are refused.
    Off,
    /// They are let in, and find nothing: no variables, arguments or folders, clocks that stand still, the same random numbers in each call. What they print is dropped. All else ends
    /// the call as a trap: files, network, sleep, exit.
    #[cfg(feature = "wasi")]
    DenyAll,
}
