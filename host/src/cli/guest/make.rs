//! From a source to a component, whatever the source is.

use std::{fs, path::PathBuf};

use anyhow::{Context, anyhow};
use assay_guest_test::{Fixture, harness};
use assay_runtime::{
    Runtime,
    build::{BuildError, BuildLimits, Builder, Built, Folder},
};
use bytes::Bytes;

use super::{cargo, source::Source};
use crate::{
    cli::{compile, exit::Failure},
    guests::{GENERIC, GuestsConfig},
    variables::Variables,
};

/// A finished component.
pub(super) struct Made {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// What its author should know.
    pub(super) warnings: Vec<String>,
    /// The files that it was made of: what to watch.
    pub(super) files: Vec<PathBuf>,
}

/// Makes components, and runs them.
pub(super) struct Maker {
    config: GuestsConfig,
    builder: Builder,
}

impl Maker {
    /// Reads where the cache is and what guests may take.
    ///
    /// # Errors
    /// A fault of the configuration; a cache that others can enter.
    pub(super) fn new(mut vars: Variables) -> Result<Self, Failure> {
        let config = GuestsConfig::load_sandbox(&mut vars);
        vars.finish()?;
        let builder = Builder::new(BuildLimits::default()).map_err(anyhow::Error::from)?;
        let builder = builder.with_cache(&config.cache).map_err(anyhow::Error::from)?;
        Ok(Self { config, builder })
    }

    /// The sandbox of a worker, with its limits, in which fuel is counted.
    ///
    /// # Errors
    /// This machine cannot run guests.
    pub(super) fn runtime(&self) -> anyhow::Result<Runtime> {
        let mut options = harness(self.config.cache.clone(), compile::child()?, Bytes::from_static(GENERIC));
        options.limits = self.config.limits.sandbox.clone();
        options.threads = self.config.threads;
        options.wasi = self.config.wasi;
        Ok(Runtime::new(options)?)
    }

    /// Makes the component.
    ///
    /// # Errors
    /// The step that did not work, the guest's own words, and the cure where there is one.
    pub(super) async fn make(&self, source: &Source) -> anyhow::Result<Made> {
        let (built, files) = match source {
            Source::Component(path) => {
                let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
                return Ok(Made { bytes, warnings: Vec::new(), files: vec![path.clone()] });
            }
            Source::Folder(path) => {
                let folder = Folder::read(path).map_err(|error| anyhow!("{error}"))?;
                let built = folder.build(&self.builder, GENERIC);
                (built.map_err(|error| told(&error))?, folder.files)
            }
            Source::Crate(path) => {
                let compiled = cargo::compile(path).await?;
                let built = self.builder.build(&compiled.core, None).map_err(|error| told(&error))?;
                (Built { bytes: compiled.stamp.put_on(&built.bytes)?, ..built }, compiled.files)
            }
        };
        let bytes = Fixture::put_into(&built.bytes, &source.fixtures(&[])?)?;
        Ok(Made { bytes, warnings: built.warnings, files })
    }
}

/// A failed build as its author reads it: the step, the reason, the guest's own words.
fn told(error: &BuildError) -> anyhow::Error {
    match error.said() {
        Some(said) => anyhow!("{error}\n  the guest says: {said}"),
        None => anyhow!("{error}"),
    }
}
