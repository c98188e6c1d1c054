//! From a source to a component, whatever the source is.

use std::{fs, path::PathBuf};

use anyhow::{Context, anyhow, ensure};
use assay_conversation::JobLimits;
use assay_core::env::Variables;
use assay_guest_build::{BuildError, BuildLimits, BuildReason, BuildStep, Builder, Built, GuestFolder};
use assay_guest_test::{Fixture, harness};
use assay_runtime::Runtime;
use assay_worker::guests::{GENERIC, GuestsConfig};
use bytes::Bytes;

use super::{cargo, source::Source};
use crate::{compile, exit::Failure};

/// A finished component.
pub(super) struct Made {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// What its author should know.
    pub(super) warnings: Vec<String>,
    /// The files that it was made of: what to watch.
    pub(super) files: Vec<PathBuf>,
    /// How many fixtures were put into it. What a finished component carries is read by whoever needs it.
    pub(super) fixtures: usize,
    /// How much of it they are.
    fixture_bytes: usize,
}

impl Made {
    /// What makes it smaller, by what most of it is.
    pub(super) fn cure_of_size(&self) -> &'static str {
        if self.fixture_bytes > self.bytes.len() / 2 { "shorten the fixtures" } else { SMALLER }
    }
}

/// What makes a guest smaller.
const SMALLER: &str = "leave out what it does not need; `strip = \"debuginfo\"` in the release profile helps";

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

    /// What a job of the guest may ask for.
    pub(super) fn job_limits(&self) -> &JobLimits {
        &self.config.limits.job
    }

    /// Makes the component.
    ///
    /// # Errors
    /// The step that did not work, the guest's own words, and the cure where there is one; more bytes than a worker admits.
    pub(super) async fn make(&self, source: &Source) -> anyhow::Result<Made> {
        let made = self.make_of_any_size(source).await?;
        let (size, limit) = (made.bytes.len(), self.config.limits.sandbox.component_bytes);
        // Of a finished component the loader says so.
        ensure!(
            size <= limit || matches!(source, Source::Component(_)),
            "{size} bytes of component, {} of them fixtures, are over the limit of {limit} (GUEST_COMPONENT_BYTES)\n  cure: {}",
            made.fixture_bytes,
            made.cure_of_size()
        );
        Ok(made)
    }

    /// The same for whoever judges the size as a rule among others.
    ///
    /// # Errors
    /// As [`Self::make`], whatever the size.
    pub(super) async fn make_of_any_size(&self, source: &Source) -> anyhow::Result<Made> {
        let (built, files) = match source {
            Source::Component(path) => {
                let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
                let files = vec![path.clone()];
                return Ok(Made { bytes, warnings: Vec::new(), files, fixtures: 0, fixture_bytes: 0 });
            }
            Source::Folder(path) => {
                let folder = GuestFolder::read(path).map_err(|error| anyhow!("{error}"))?;
                let built = folder.build(&self.builder, GENERIC);
                (built.map_err(|error| told(&error))?, folder.files)
            }
            Source::Crate(path) => {
                let compiled = cargo::compile(path).await?;
                let built = self.builder.build(&compiled.core, None).map_err(|error| told(&error))?;
                (Built { bytes: compiled.stamp.put_on(&built.bytes)?, ..built }, compiled.files)
            }
        };
        let fixtures = source.fixtures(&[])?;
        let bytes = Fixture::put_into(&built.bytes, &fixtures)?;
        let fixture_bytes = bytes.len() - built.bytes.len();
        Ok(Made { bytes, warnings: built.warnings, files, fixtures: fixtures.len(), fixture_bytes })
    }
}

/// A failed build as its author reads it: the step, the reason, the guest's own words, and the cure.
fn told(error: &BuildError) -> anyhow::Error {
    let said = error.said().map(|said| format!("\n  the guest says: {said}")).unwrap_or_default();
    anyhow!("{error}{said}\n  cure: {}", cure(error.step(), error.reason()))
}

fn cure(step: BuildStep, reason: &BuildReason) -> &'static str {
    match (step, reason) {
        (_, BuildReason::TooLarge { .. }) => SMALLER,
        (_, BuildReason::TimedOut(_)) => "let the initializer do less: it parses schema and prompt, and no more",
        (_, BuildReason::OutOfMemory(_)) => "let the initializer keep less: what it holds is part of every call",
        (BuildStep::Imports, _) => {
            "remove what asks for it: a guest has the log and nothing else; WASI comes with the target wasm32-wasip1"
        }
        (BuildStep::Inject, _) => "shorten prompt and schema: together they may have 4 MiB",
        (BuildStep::Initialize, BuildReason::MissingExport(_)) => "export the guest with the SDK's `export_guest!`",
        (BuildStep::Initialize, _) => "correct what the guest says; a native test of `initialize` shows the same",
        (BuildStep::Componentize, _) => "build it against wit/report.wit: the SDK's `export_guest!` has all of the exports",
        (BuildStep::Engine, _) => "this machine cannot run compiled code; build on another one",
        _ => "build it again for wasm32-unknown-unknown, without nightly features of WebAssembly",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_cured_where_most_of_it_is() {
        let cure = |fixture_bytes| {
            let (warnings, files) = (Vec::new(), Vec::new());
            Made { bytes: vec![0; 100], warnings, files, fixtures: 1, fixture_bytes }.cure_of_size()
        };
        assert_eq!([cure(51), cure(50), cure(0)], ["shorten the fixtures", SMALLER, SMALLER]);
    }

    #[test]
    fn a_failed_build_tells_step_reason_words_and_cure() {
        let builder = Builder::new(BuildLimits::default()).unwrap();
        let error = told(&builder.specialize(GENERIC, b"{}").unwrap_err()).to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].starts_with("run the initializer: "), "{error}");
        assert!(lines[1].starts_with("  the guest says: parts: missing field"), "{error}");
        assert!(lines[2].starts_with("  cure: correct what the guest says"), "{error}");
        let error = told(&builder.build(b"\0asm\x01\0\0\0", None).unwrap_err()).to_string();
        assert!(error.ends_with("  cure: export the guest with the SDK's `export_guest!`"), "{error}");
    }
}
