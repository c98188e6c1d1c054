//! From a core module to a component, step by step.

use std::path::Path;

use crate::{
    build_limits::BuildLimits,
    cache::{CacheError, ImageCache},
    component::componentize,
    error::BuildError,
    initializer::Initializer,
    sections::strip,
};
#[cfg(doc)]
use crate::{error::BuildStep, parts::Parts};

/// Limit of the folder of compiled code; `assay_runtime::Options::new` has the same one.
const MAX_CACHE_BYTES: u64 = 2 << 30;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Component, or pre-initialized core module.
    pub bytes: Vec<u8>,
    /// The guest's warnings for its author, from its initializer: "the stricter schema leaves out anyOf at /properties/x".
    /// Content: they may quote prompt and schema. Show them to the author, never log them.
    pub warnings: Vec<String>,
}

/// Builds components. Keeps the compiled form of each core module: the second specialization of the generic guest in one process
/// takes milliseconds instead of a second.
pub struct Builder {
    initializer: Initializer,
}

impl Builder {
    /// Makes a builder with its own engine.
    ///
    /// # Errors
    ///
    /// [`BuildStep::Engine`] if this machine cannot run compiled code.
    pub fn new(limits: BuildLimits) -> Result<Self, BuildError> {
        Ok(Self { initializer: Initializer::new(limits)? })
    }

    /// Adds a folder of compiled code from earlier processes, which makes the first specialization fast too. It may be the
    /// folder of `assay_runtime::Options::cache`.
    ///
    /// # Errors
    ///
    /// [`CacheError`].
    pub fn with_cache(self, folder: &Path) -> Result<Self, CacheError> {
        let cache = ImageCache::open(folder, MAX_CACHE_BYTES)?;
        Ok(Self { initializer: self.initializer.with_cache(cache) })
    }

    /// Writes `inject` into a core module's memory, runs its initializer, and returns the module with the memory as it is then.
    ///
    /// # Errors
    ///
    /// The [`BuildStep`] that failed, and why.
    pub fn preinitialize(&self, core: &[u8], inject: Option<&[u8]>) -> Result<Built, BuildError> {
        let (snapshot, warnings) = self.initializer.run(core, inject)?;
        Ok(Built { bytes: strip(&snapshot)?, warnings })
    }

    /// Pre-initializes a core module and turns it into a component.
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

    /// Turns the generic guest into a complete one; `parts_json` is [`Parts`] as JSON.
    ///
    /// # Errors
    ///
    /// As [`Self::build`]. Faulty parts fail at [`BuildStep::Initialize`], with the guest's message in [`BuildError::said`].
    pub fn specialize(&self, generic_core: &[u8], parts_json: &[u8]) -> Result<Built, BuildError> {
        self.build(generic_core, Some(parts_json))
    }
}

/// Runs [`Builder::preinitialize`] with a builder for this one call.
///
/// # Errors
///
/// As that method.
pub fn preinitialize(core: &[u8], inject: Option<&[u8]>, limits: &BuildLimits) -> Result<Built, BuildError> {
    Builder::new(limits.clone())?.preinitialize(core, inject)
}

/// Runs [`Builder::specialize`] with a builder for this one call.
///
/// # Errors
///
/// As that method.
pub fn specialize(generic_core: &[u8], parts_json: &[u8], limits: &BuildLimits) -> Result<Built, BuildError> {
    Builder::new(limits.clone())?.specialize(generic_core, parts_json)
}
