//! What it takes until a guest can be called: building it, compiling it, loading what was compiled.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use assay_guest_build::{BuildLimits, Builder, Message, Parts};
use assay_runtime::{Compiler, Options, Runtime};
use bytes::Bytes;

use crate::{documents::SCHEMA, spread::Spread};

/// Loads that the later ones are measured over.
const LATER_LOADS: usize = 200;

/// A guest without code, and how long building it took.
pub struct Build {
    pub component: Vec<u8>,
    /// With the generic guest compiled for it.
    pub first: Duration,
    /// By the same builder, which has it already.
    pub second: Duration,
}

/// Makes the generic guest one for the bench's schema.
///
/// # Errors
/// The step of the build.
pub fn build(generic: &[u8]) -> Result<Build> {
    let parts = parts(SCHEMA);
    let begun = Instant::now();
    let builder = Builder::new(BuildLimits::default())?;
    let component = builder.specialize(generic, &parts)?.bytes;
    let first = begun.elapsed();
    let begun = Instant::now();
    builder.specialize(generic, &parts)?;
    Ok(Build { component, first, second: begun.elapsed() })
}

/// Returns what is injected. What the schema leaves to a guest's code the model writes here: validating it is the same work.
pub fn parts(schema: &str) -> Vec<u8> {
    let parts = Parts {
        prompt_version: "bench".to_owned(),
        schema_version: "report.v2".to_owned(),
        description: "Measured, never asked.".to_owned(),
        schema: schema.replace("\"readOnly\": true", "\"readOnly\": false"),
        messages: vec![Message { role: "user".to_owned(), content: "{{transcript}}".to_owned() }],
        model: None,
        max_output_tokens: None,
        temperature: None,
    };
    parts.to_json()
}

/// Times of loading one guest.
pub struct Loads {
    /// Nothing is cached: admitted, compiled, cached.
    pub compile: Duration,
    /// A new process finds the image: its seal is checked.
    pub first: Duration,
    /// The same process again, after the guest was dropped: by digest.
    pub later: Spread,
    /// The same with the guest's bytes, which are hashed for it.
    pub later_with_bytes: Spread,
    /// The component in bytes.
    pub component_bytes: usize,
    /// The image in bytes.
    pub image_bytes: u64,
}

/// Loads a guest in every way.
///
/// # Errors
/// The load's.
pub async fn run(component: &[u8]) -> Result<Loads> {
    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("cache");
    let begun = Instant::now();
    runtime(&cache)?.load(component).await.context("compile the guest")?;
    let compile = begun.elapsed();

    // As a new process does: nothing that it checked before is remembered.
    let process = runtime(&cache)?;
    let begun = Instant::now();
    let digest = process.load(component).await.context("load the guest")?.digest();
    let first = begun.elapsed();

    let (mut later, mut later_with_bytes) = (Spread::default(), Spread::default());
    for _ in 0..LATER_LOADS {
        // The guest is dropped within each turn, and with it what was mapped.
        let begun = Instant::now();
        let guest = process.load_cached(digest).await?.context("the image is not in the cache")?;
        later.add(begun.elapsed());
        drop(guest);
        let begun = Instant::now();
        let guest = process.load(component).await?;
        later_with_bytes.add(begun.elapsed());
        drop(guest);
    }
    let images = std::fs::read_dir(&cache)?.flatten().filter_map(|entry| entry.metadata().ok());
    let image_bytes = images.map(|metadata| metadata.len()).max().unwrap_or_default();
    Ok(Loads { compile, first, later, later_with_bytes, component_bytes: component.len(), image_bytes })
}

/// Returns a runtime as the worker has it, but for the compiler, which is in this process.
///
/// # Errors
/// The engine's or the cache's.
pub fn runtime(cache: &Path) -> Result<Runtime> {
    Ok(Runtime::new(Options::new(cache, Compiler::InProcess, Bytes::new()))?)
}
