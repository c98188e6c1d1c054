//! Runs cargo on the guests' workspace.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    guest_toolchain::{TARGET, Toolchain},
    guests::guest::Guest,
};

/// What a build changes of the workspace's own settings; nothing for what is shipped.
#[derive(Default)]
pub struct Settings {
    /// Settings of the release profile: "OPT_LEVEL" and the like, and their values.
    pub profile: &'static [(&'static str, &'static str)],
    /// Flags for the compiler, behind those of the workspace.
    pub flags: &'static [&'static str],
}

/// Compiles every guest of the workspace at `root/guest` and returns their core modules by package.
pub fn cores(root: &Path, target: &Path, toolchain: &Toolchain) -> Result<Vec<(&'static str, PathBuf)>> {
    let packages: Vec<_> = Guest::packages().collect();
    let cores = compile(&packages, root, target, toolchain, &Settings::default())?;
    Ok(packages.into_iter().zip(cores).collect())
}

/// Compiles one guest in its own way and returns its core module.
pub fn core(package: &str, root: &Path, target: &Path, toolchain: &Toolchain, settings: &Settings) -> Result<PathBuf> {
    Ok(compile(&[package], root, target, toolchain, settings)?.remove(0))
}

fn compile(
    packages: &[&str],
    root: &Path,
    target: &Path,
    toolchain: &Toolchain,
    settings: &Settings,
) -> Result<Vec<PathBuf>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--target", TARGET]).current_dir(root.join("guest"));
    for package in packages {
        cargo.args(["--package", package]);
    }
    // On the command line the list is joined with that of guest/.cargo/config.toml; the variables would replace it.
    cargo.arg("--config").arg(format!("target.{TARGET}.rustflags={}", flags(root, settings)?));
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    // Cargo passes its own build's variables on to xtask; the guests are a build of their own.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PROFILE_")) {
        cargo.env_remove(name);
    }
    for (name, value) in settings.profile {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    cargo.env("CARGO_TARGET_DIR", target);
    toolchain.apply(&mut cargo);
    let status = cargo.status().context("run cargo")?;
    if !status.success() {
        bail!("the guests do not compile; the reason is above");
    }
    let release = release(target);
    Ok(packages.iter().map(|package| release.join(format!("{}.wasm", package.replace('-', "_")))).collect())
}

/// Returns where the core modules of a build in `target` are.
pub fn release(target: &Path) -> PathBuf {
    target.join(TARGET).join("release")
}

/// Paths reach a binary through panic locations; these flags make them the same everywhere.
fn flags(root: &Path, settings: &Settings) -> Result<String> {
    let home = cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let flags: Vec<String> = [(root, "/assay"), (&home, "/cargo")]
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .chain(settings.flags.iter().map(|flag| (*flag).to_owned()))
        .collect();
    serde_json::to_string(&flags).context("write the flags down")
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
}
