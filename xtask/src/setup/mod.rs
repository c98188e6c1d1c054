//! `cargo xtask setup`: installs what the field's corpora and the nightly need besides Rust and Postgres.
//!
//! Packages of Debian go into the system; those of PyPI and npm into the user's cache folder, apart from everything else.

mod parts;

use std::{env, path::PathBuf};

use anyhow::{Context, Result, bail};

use crate::{paths, system};
use parts::PARTS;

/// Installs every part, and names those that cannot be had here.
///
/// # Errors
/// With `CI=true`, a part that cannot be had.
pub fn run() -> Result<()> {
    system::ensure_postgres()?;
    let mut missing = Vec::new();
    for part in PARTS {
        println!("{}", part.name);
        if let Err(error) = part.ensure() {
            println!("not run: {} ({error:#})", part.name);
            missing.push(part.name);
        }
    }
    if missing.is_empty() {
        println!("\nEverything is there: {}", tools()?.display());
        return Ok(());
    }
    println!("\nThese cannot be had here, and what needs them is not run: {}", missing.join(", "));
    if env::var_os("CI").is_some_and(|value| value == "true") {
        bail!("CI=true, and not every part is there");
    }
    Ok(())
}

/// Returns the folder of the parts from PyPI (`python`) and npm (`node_modules`).
///
/// # Errors
/// There is no home folder.
pub fn tools() -> Result<PathBuf> {
    Ok(paths::cache().context("HOME is not set")?.join("tools"))
}
