//! Settings of a runtime.

use std::{ffi::OsString, path::PathBuf};

use bytes::Bytes;

use crate::{cpu::Cpu, limits::Limits};

/// Settings for [`crate::Runtime::new`].
#[derive(Clone)]
pub struct Options {
    /// Limits of a guest and of one call.
    pub limits: Limits,
    /// Folder of compiled guests, of this user or of root. Made if it is missing, for this user alone (0700). Processes may share
    /// it. One that others may enter is only read; one that others write to gets a private folder inside. `None`: compiled guests
    /// stay in this process.
    pub cache: Option<PathBuf>,
    /// Limit of that folder, in bytes; the least recently used image is deleted first.
    pub cache_bytes: u64,
    /// The processors to compile for. Images for lower levels than this machine's are found too.
    pub cpu: Cpu,
    /// Where guests are compiled.
    pub compiler: Compiler,
    /// Threads for guest calls, at least 2. `None`: the number of cores, at least 4.
    pub threads: Option<usize>,
    /// Core module of the generic guest, for verifiers. Empty: [`crate::Runtime::verifier`] fails.
    pub generic: Bytes,
    /// Whether guests count fuel.
    pub metering: Metering,
    /// How memory for calls is allocated.
    pub allocation: Allocation,
    /// Whether guests that import WASI are admitted.
    pub wasi: Wasi,
}

impl Options {
    /// Returns the defaults, with a cache of 2 GiB.
    pub fn new(cache: impl Into<PathBuf>, compiler: Compiler, generic: Bytes) -> Self {
        Self { cache: Some(cache.into()), ..Self::in_memory(compiler, generic) }
    }

    /// Returns the defaults without a folder.
    pub fn in_memory(compiler: Compiler, generic: Bytes) -> Self {
        Self {
            limits: Limits::default(),
            cache: None,
            cache_bytes: 2 << 30,
            cpu: Cpu::Native,
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
            .field("cpu", &self.cpu)
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
    /// On a thread of this process, for tests and tools. A guest that crashes the compiler crashes the process.
    InProcess,
    /// In a child process per guest: its memory is freed, and a crash ends the child alone.
    Child {
        /// A program that calls [`crate::compiler::child_main`].
        program: PathBuf,
        /// Its arguments.
        args: Vec<OsString>,
    },
}

/// Whether guests count fuel: the same on every machine, but slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metering {
    /// Only time bounds a call.
    Off,
    /// Each call may use this much fuel, beside its time.
    Fuel(u64),
}

/// How memory for calls is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// From the pool if the address space has room for it, else on demand.
    Auto,
    /// From the pool, or an error.
    Pooling,
    /// For each call, in little address space.
    OnDemand,
}

/// Whether guests that import WASI are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wasi {
    /// Refuses them.
    Off,
    /// Admits them to an empty world: no variables, arguments or folders, clocks that stand still, the same random numbers in
    /// each call. Output is dropped. Files, network, sleep and exit end the call as a trap.
    #[cfg(feature = "wasi")]
    DenyAll,
}
