//! Builds a component from a source.

use std::path::PathBuf;

use anyhow::{Context, anyhow, ensure};
use assay_conversation::JobLimits;
use assay_core::env::Variables;
use assay_guest_build::{BuildError, BuildLimits, BuildReason, BuildStep, Builder, Built, GuestFolder, read_file};
use assay_guest_test::{Fixture, harness};
use assay_runtime::Runtime;
use assay_worker::guests::{GENERIC, GuestsConfig};
use bytes::Bytes;

use crate::{
    compile,
    exit::Failure,
    guest::{cargo, source::Source},
};

pub struct BuiltGuest {
    pub bytes: Vec<u8>,
    /// For the author of the guest.
    pub warnings: Vec<String>,
    /// Its source files, for `--watch`.
    pub files: Vec<PathBuf>,
    /// Fixtures that were added. Zero for a finished component, which may carry its own.
    pub fixtures: usize,
    /// Bytes of the fixtures.
    fixture_bytes: usize,
}

impl BuiltGuest {
    /// Returns how to make it smaller: the advice is about its larger part.
    pub fn size_fix(&self) -> &'static str {
        if self.fixture_bytes > self.bytes.len() / 2 { "shorten the fixtures" } else { SHRINK_CODE }
    }
}

const SHRINK_CODE: &str = "leave out what it does not need; `strip = \"debuginfo\"` in the release profile helps";

/// Builds components, and makes the sandbox for them.
pub struct GuestBuilder {
    config: GuestsConfig,
    builder: Builder,
}

impl GuestBuilder {
    /// Reads the folder of the cache and the limits of guests.
    ///
    /// # Errors
    /// A variable is wrong, or other users can write to the cache.
    pub fn new(mut vars: Variables) -> Result<Self, Failure> {
        let config = GuestsConfig::load_sandbox(&mut vars);
        vars.finish()?;
        let builder = Builder::new(BuildLimits::default()).map_err(anyhow::Error::from)?;
        let builder = match &config.cache {
            Some(folder) => builder.with_cache(folder).map_err(anyhow::Error::from)?,
            None => builder,
        };
        Ok(Self { config, builder })
    }

    /// Returns the sandbox of a worker with its limits. It counts fuel.
    ///
    /// # Errors
    /// This machine cannot run guests.
    pub fn runtime(&self) -> anyhow::Result<Runtime> {
        let mut options = harness(self.config.cache.clone(), compile::child()?, Bytes::from_static(GENERIC));
        options.limits = self.config.limits.sandbox.clone();
        options.threads = self.config.threads;
        options.wasi = self.config.wasi;
        Ok(Runtime::new(options)?)
    }

    /// Returns the limits of one job.
    pub fn job_limits(&self) -> &JobLimits {
        &self.config.limits.job
    }

    /// Builds the component.
    ///
    /// # Errors
    /// A step of the build failed, or the component is larger than a worker allows. The error has the message of the guest and
    /// the fix.
    pub async fn build(&self, source: &Source) -> anyhow::Result<BuiltGuest> {
        let built = self.build_of_any_size(source).await?;
        let (size, limit) = (built.bytes.len(), self.config.limits.sandbox.component_bytes);
        // For a finished component, the loader reports it.
        ensure!(
            size <= limit || matches!(source, Source::Component(_)),
            "the component has {size} bytes, {} of them fixtures: more than {limit} (GUEST_COMPONENT_BYTES)\n  fix: {}",
            built.fixture_bytes,
            built.size_fix()
        );
        Ok(built)
    }

    /// Builds the component, also if it is too large: `assay guest check` reports the size as a rule.
    ///
    /// # Errors
    /// As [`Self::build`], without the limit.
    pub async fn build_of_any_size(&self, source: &Source) -> anyhow::Result<BuiltGuest> {
        let (built, files) = match source {
            Source::Component(path) => {
                // The loader refuses what is over the limit; much more is not even read.
                let limit = 2 * self.config.limits.sandbox.component_bytes as u64;
                let bytes = read_file(path, limit).with_context(|| format!("read {}", path.display()))?;
                let files = vec![path.clone()];
                return Ok(BuiltGuest { bytes, warnings: Vec::new(), files, fixtures: 0, fixture_bytes: 0 });
            }
            Source::Folder(path) => {
                let folder = GuestFolder::read(path).map_err(|error| anyhow!("{error}"))?;
                let built = folder.build(&self.builder, GENERIC);
                (built.map_err(|error| build_error(&error))?, folder.files)
            }
            Source::Crate(path) => {
                let compiled = cargo::compile(path).await?;
                let built = self.builder.build(&compiled.core, None).map_err(|error| build_error(&error))?;
                (Built { bytes: compiled.stamp.put_on(&built.bytes)?, ..built }, compiled.files)
            }
        };
        let fixtures = source.fixtures(&[])?;
        let bytes = Fixture::put_into(&built.bytes, &fixtures)?;
        let fixture_bytes = bytes.len() - built.bytes.len();
        Ok(BuiltGuest { bytes, warnings: built.warnings, files, fixtures: fixtures.len(), fixture_bytes })
    }
}

/// Returns the step, the reason, the guest's own message, and the fix.
fn build_error(error: &BuildError) -> anyhow::Error {
    let said = error.said().map(|said| format!("\n  the guest says: {said}")).unwrap_or_default();
    anyhow!("{error}{said}\n  fix: {}", fix(error.step(), error.reason()))
}

fn fix(step: BuildStep, reason: &BuildReason) -> &'static str {
    match (step, reason) {
        (_, BuildReason::TooLarge { .. }) => SHRINK_CODE,
        (_, BuildReason::TimedOut(_)) => "let the initializer do less: it should only parse schema and prompt",
        (_, BuildReason::OutOfMemory(_)) => "let the initializer keep less: its memory is part of every call",
        (BuildStep::Imports, _) => {
            "remove the code that needs it: a guest may import only the log; WASI comes from the target wasm32-wasip1"
        }
        (BuildStep::Inject, _) => "shorten prompt and schema: together at most 4 MiB",
        (BuildStep::Initialize, BuildReason::MissingExport(_)) => "export the guest with the SDK's `export_guest!`",
        (BuildStep::Initialize, _) => "correct what the guest reports; a native test of `initialize` shows the same",
        (BuildStep::Componentize, _) => "build it against wit/report.wit: the SDK's `export_guest!` makes all exports",
        (BuildStep::Engine, _) => "this machine cannot run compiled code; build on another one",
        _ => "build it again for wasm32-unknown-unknown, without nightly features of WebAssembly",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_of_a_large_guest_is_about_its_larger_part() {
        let fix = |fixture_bytes| {
            let (warnings, files) = (Vec::new(), Vec::new());
            BuiltGuest { bytes: vec![0; 100], warnings, files, fixtures: 1, fixture_bytes }.size_fix()
        };
        assert_eq!([fix(51), fix(50), fix(0)], ["shorten the fixtures", SHRINK_CODE, SHRINK_CODE]);
    }

    #[test]
    fn a_failed_build_shows_step_reason_message_and_fix() {
        let builder = Builder::new(BuildLimits::default()).unwrap();
        let error = build_error(&builder.specialize(GENERIC, b"{}").unwrap_err()).to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].starts_with("run the initializer: "), "{error}");
        assert!(lines[1].starts_with("  the guest says: parts: missing field"), "{error}");
        assert!(lines[2].starts_with("  fix: correct what the guest reports"), "{error}");
        let error = build_error(&builder.build(b"\0asm\x01\0\0\0", None).unwrap_err()).to_string();
        assert!(error.ends_with("  fix: export the guest with the SDK's `export_guest!`"), "{error}");
    }
}
