//! The pinned toolchain, with the target added by rustup.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{TARGET, Toolchain, bounded::run, version};
use crate::paths;

/// Some 20 MB on a slow line. Where the server is out of reach rustup says so much earlier, and that is final.
const ADD: Duration = Duration::from_secs(180);

/// Adds the target unless it is there.
pub fn ensure() -> Result<Toolchain> {
    if !has_target()? {
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", TARGET]).current_dir(paths::root());
        run(&format!("rustup target add {TARGET}"), &mut rustup, ADD)?;
        ensure!(
            has_target()?,
            "rustup added {TARGET} to another toolchain than {}",
            rustc().get_program().to_string_lossy()
        );
    }
    pinned()
}

/// Returns the toolchain as it is.
pub fn pinned() -> Result<Toolchain> {
    Ok(Toolchain::Pinned { version: version(&mut rustc())? })
}

/// Returns whether its sysroot has a standard library for the target.
pub fn has_target() -> Result<bool> {
    let output = rustc().args(["--print", "sysroot"]).output().context("run rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(super::debian::has_std(&sysroot))
}

fn rustc() -> Command {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(paths::root());
    rustc
}
