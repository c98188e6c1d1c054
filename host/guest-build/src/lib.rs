//! From a guest's core module to a component: pre-initialize, strip, componentize, assert the imports.
//!
//! Pre-initialization runs the guest's own `wizer-initialize` once, here, and keeps the memory as it is afterwards: schema
//! parsed, patterns compiled. A fresh instance per call then costs next to nothing. *Injection* is the same with one step
//! before it: the generic guest's `reserve` makes room, and prompt and schema are written there.
//!
//! The initializer is guest code. It runs under a time and a memory limit and sees nothing but the log import; what it says
//! there before it traps is kept for the author ([`BuildError::said`]) and is in no error message.
//!
//! The same input gives the same bytes: nothing here reads a clock, a path or an environment.

pub mod cache;
pub mod compatibility;
mod component;
mod error;
mod folder;
mod initializer;
mod parts;
mod sections;
mod stamp;
#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use crate::cache::{Cache, CacheError};
pub use component::{componentize, imports, world};
pub use error::{BuildError, Reason, Step};
pub use folder::{Folder, FolderError, GUEST_TOML, is_name};
use initializer::Initializer;
pub use parts::{Message, Parts, verifier_parts};
pub use sections::strip;
pub use stamp::{SourceHash, Stamp, section, toolchain, with_section};

/// How large the folder of compiled code may grow, in bytes; `assay_runtime::Options::new` says the same.
const CACHE_BYTES: u64 = 2 << 30;

/// What a guest's initializer may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildLimits {
    /// Wall-clock time of everything the guest runs while it is built.
    pub time: Duration,
    /// Linear memory in bytes. What is in use after initialization is part of every instance.
    pub memory_bytes: usize,
    /// Table elements.
    pub table_elements: usize,
    /// Size of the core module and of the finished component in bytes.
    pub module_bytes: usize,
}

impl Default for BuildLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), memory_bytes: 64 << 20, table_elements: 20_000, module_bytes: 32 << 20 }
    }
}

/// What a build gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The component, or the pre-initialized core module.
    pub bytes: Vec<u8>,
    /// What the guest warned its author of while it was initialized: "the stricter schema leaves out anyOf at /properties/x".
    /// It may quote prompt and schema: show it to the author, never log it.
    pub warnings: Vec<String>,
}

/// Builds components; keeps the compiled form of each core module that it has initialized, so that the second specialization
/// of the generic guest in one process costs milliseconds instead of a second.
pub struct Builder {
    initializer: Initializer,
}

impl Builder {
    /// A builder with an engine of its own.
    ///
    /// # Errors
    ///
    /// [`Step::Engine`] where this machine cannot run compiled code.
    pub fn new(limits: BuildLimits) -> Result<Self, BuildError> {
        Ok(Self { initializer: Initializer::new(limits)? })
    }

    /// The same builder, which finds what an earlier process compiled: a guest without code is then built in a moment. The
    /// folder may be that of `assay_runtime::Options::cache`.
    ///
    /// # Errors
    ///
    /// [`CacheError`].
    pub fn with_cache(self, folder: &Path) -> Result<Self, CacheError> {
        let cache = Cache::open(folder, CACHE_BYTES)?;
        Ok(Self { initializer: self.initializer.with_cache(cache) })
    }

    /// Runs a core module's initializer and returns the module with the memory that it left behind; `inject` is written into
    /// its memory first.
    ///
    /// # Errors
    ///
    /// The [`Step`] that did not work, and why.
    pub fn preinitialize(&self, core: &[u8], inject: Option<&[u8]>) -> Result<Built, BuildError> {
        let (snapshot, warnings) = self.initializer.run(core, inject)?;
        Ok(Built { bytes: strip(&snapshot)?, warnings })
    }

    /// Pre-initializes a core module and makes it a component.
    ///
    /// # Errors
    ///
    /// As [`Self::preinitialize`] and [`componentize`].
    pub fn build(&self, core: &[u8], inject: Option<&[u8]>) -> Result<Built, BuildError> {
        let Built { bytes, warnings } = self.preinitialize(core, inject)?;
        let bytes = componentize(&bytes)?;
        self.initializer.check_size(&bytes)?;
        Ok(Built { bytes, warnings })
    }

    /// Makes the generic guest a complete one; `parts_json` is what [`Parts`] serializes to.
    ///
    /// # Errors
    ///
    /// As [`Self::build`]. Faulty parts end in [`Step::Initialize`], with the guest's words in [`BuildError::said`].
    pub fn specialize(&self, generic_core: &[u8], parts_json: &[u8]) -> Result<Built, BuildError> {
        self.build(generic_core, Some(parts_json))
    }
}

/// [`Builder::preinitialize`] with a builder for this one call.
///
/// # Errors
///
/// As there.
pub fn preinitialize(core: &[u8], inject: Option<&[u8]>, limits: &BuildLimits) -> Result<Built, BuildError> {
    Builder::new(limits.clone())?.preinitialize(core, inject)
}

/// [`Builder::specialize`] with a builder for this one call.
///
/// # Errors
///
/// As there.
pub fn specialize(generic_core: &[u8], parts_json: &[u8], limits: &BuildLimits) -> Result<Built, BuildError> {
    Builder::new(limits.clone())?.specialize(generic_core, parts_json)
}
