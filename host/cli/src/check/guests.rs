//! Checks that the guests of GUEST_DIR load.

use std::{collections::HashMap, path::Path};

use assay_guest_build::read_file;
use assay_runtime::Digest;
use assay_worker::guests::{Guests, GuestsConfig, LoadedRelease, UnloadedFile};

use crate::{check::check_result::CheckResult, compile, output::short_digest};

pub async fn check(config: Option<GuestsConfig>) -> Vec<CheckResult> {
    let name = "guests";
    let Some(config) = config else {
        return vec![CheckResult::skipped(name)];
    };
    let failed = |error: anyhow::Error| {
        let fix = "correct GUEST_DIR or its files; `cargo xtask guests` builds the reference guests";
        vec![CheckResult::failed(name, format!("{error:#}"), fix)]
    };
    let compiler = match compile::child() {
        Ok(compiler) => compiler,
        Err(error) => return failed(error.into()),
    };
    let guests = match Guests::open(&config, compiler).await {
        Ok(guests) => guests,
        Err(error) => return failed(error),
    };
    let (loaded, not_loaded) = (guests.loaded(), guests.not_loaded());
    if loaded.is_empty() && not_loaded.is_empty() {
        return failed(anyhow::anyhow!("{} has no .wasm file", config.directory.display()));
    }
    let mut checks = check_each(&config, &loaded, &not_loaded);
    if !loaded.iter().any(|guest| guest.is_default) {
        checks.push(CheckResult::warning(
            name,
            "no guest is the default: jobs that name no prompt version wait",
            "set REPORT_PROMPT_VERSION",
        ));
    }
    checks
}

fn check_each(config: &GuestsConfig, loaded: &[LoadedRelease], not_loaded: &[UnloadedFile]) -> Vec<CheckResult> {
    let files = files_by_digest(&config.directory, config.limits.sandbox.component_bytes);
    let mut checks = Vec::new();
    for guest in loaded {
        let file = files.get(&guest.digest).map_or("", String::as_str);
        let default = if guest.is_default { ", the default" } else { "" };
        let digest = short_digest(&guest.digest);
        checks.push(CheckResult::ok(
            format!("guest {file}"),
            format!("{}, schema {}, sha256 {digest}{default}", guest.prompt_version, guest.schema_version),
        ));
    }
    for guest in not_loaded {
        let file = guest.file.file_name().unwrap_or_default().to_string_lossy();
        let fix = "build it again for this version of Assay, or remove it from GUEST_DIR";
        checks.push(CheckResult::failed(format!("guest {file}"), guest.reason.clone(), fix));
    }
    checks
}

/// Returns file names by digest: a loaded guest has only a digest, but a user knows its file.
fn files_by_digest(folder: &Path, limit: usize) -> HashMap<String, String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "wasm"))
        .filter_map(|entry| {
            let bytes = read_file(&entry.path(), limit as u64).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((Digest::of(&bytes).to_string(), name))
        })
        .collect()
}
