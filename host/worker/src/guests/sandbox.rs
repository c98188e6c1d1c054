//! The sandbox of guests, set up from the configuration.

use std::path::Path;

use assay_runtime::{Compiler, Cpu, Options, Runtime};
use bytes::Bytes;

use crate::guests::config::GuestsConfig;

/// The core module of the generic guest. With a schema injected, it is the host's verifier.
pub static GENERIC: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/dist/core/generic.wasm"));

/// Makes the sandbox in which jobs run, without a guest in it.
///
/// # Errors
/// When this machine cannot run guests, or the cache cannot be used.
pub fn sandbox(config: &GuestsConfig, compiler: Compiler) -> anyhow::Result<Runtime> {
    Ok(Runtime::new(options(config, compiler))?)
}

/// Makes a sandbox that compiles for `cpu` into a folder what [`sandbox`] finds there with the same configuration.
///
/// # Errors
/// As [`sandbox`], or this machine's processor is not one of `cpu`.
pub fn precompiler(config: &GuestsConfig, compiler: Compiler, cpu: Cpu, folder: &Path) -> anyhow::Result<Runtime> {
    Ok(Runtime::new(Options { cpu, cache: Some(folder.to_owned()), ..options(config, compiler) })?)
}

fn options(config: &GuestsConfig, compiler: Compiler) -> Options {
    let mut options = Options::in_memory(compiler, Bytes::from_static(GENERIC));
    options.cache = config.cache.clone();
    options.limits = config.limits.sandbox.clone();
    options.threads = config.threads;
    options.wasi = config.wasi;
    options
}

/// Returns the schema of a guest, if this machine's cache has its image and the image loads.
pub async fn schema_of_cached(runtime: &Runtime, digest: &str) -> Option<String> {
    let guest = runtime.load_cached(digest.parse().ok()?).await.ok()??;
    Some(guest.manifest().schema.clone())
}
