//! Makes a compiler for `wasm32-unknown-unknown` available, without a manual installation.
//!
//! In order: the compiler at hand has the target; rustup adds it; where rustup's server is out of reach, a toolchain is put together
//! from Debian's packages, in the user's cache folder and without root. All three are idempotent, and the second run is instant.

mod bounded;
mod debian;
mod rustup;

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// The target that guests are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Where the target may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// The pinned toolchain, with the target added by rustup
    Rustup,
    /// A toolchain made of Debian's packages
    Debian,
}

/// A compiler that has the target.
#[derive(Debug)]
pub enum Toolchain {
    /// The one that built this program.
    Pinned {
        /// `rustc 1.95.0 (…)`.
        version: String,
    },
    /// One of our own, in a folder.
    Folder {
        /// Laid out like a toolchain of rustup's.
        folder: PathBuf,
        /// `rustc 1.96.0 (…)`.
        version: String,
    },
}

impl Toolchain {
    /// Makes a cargo command use this compiler.
    pub fn apply(&self, cargo: &mut Command) {
        match self {
            Self::Pinned { .. } => {
                cargo.env_remove("RUSTC");
            }
            Self::Folder { folder, .. } => {
                use_folder(cargo, folder);
            }
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned { version } => write!(f, "{version}"),
            Self::Folder { version, .. } => write!(f, "{version} of the distribution"),
        }
    }
}

/// Finds or makes a toolchain; `source` forces one way.
pub fn ensure(source: Option<Source>) -> Result<Toolchain> {
    match source {
        Some(Source::Rustup) => rustup::ensure(),
        Some(Source::Debian) => debian::ensure(),
        None if rustup::has_target()? => rustup::pinned(),
        None => match debian::cached()? {
            Some(toolchain) => Ok(toolchain),
            None => rustup::ensure().or_else(|rustup| {
                println!("rustup cannot add {TARGET} ({}); trying the distribution's packages", rustup.root_cause());
                debian::ensure()
                    .with_context(|| format!("no compiler for {TARGET}: install one with `rustup target add {TARGET}`"))
            }),
        },
    }
}

/// `rustc --version` of a compiler.
fn version(rustc: &mut Command) -> Result<String> {
    let output = rustc.arg("--version").output().context("run rustc")?;
    anyhow::ensure!(output.status.success(), "rustc does not run: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The distribution's programs find their libraries by the loader's path alone: they are laid out for /usr.
fn use_folder(command: &mut Command, folder: &Path) {
    let mut libraries = OsString::from(folder.join("lib"));
    if let Some(inherited) = env::var_os("LD_LIBRARY_PATH").filter(|path| !path.is_empty()) {
        libraries.push(":");
        libraries.push(inherited);
    }
    command.env("LD_LIBRARY_PATH", libraries).env("RUSTC", folder.join("bin/rustc"));
    command.env_remove("RUSTC_WRAPPER").env_remove("RUSTC_WORKSPACE_WRAPPER");
}
