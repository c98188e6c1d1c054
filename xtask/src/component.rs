//! `cargo xtask component`: builds a new guest with cargo-component too, and compares both worlds.
//!
//! cargo-component is frozen upstream, so nothing else depends on it. It is compiled once, into the user's cache folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use assay_guest_build::world;

use crate::{
    guest_toolchain::{self, TARGET, Toolchain},
    guests, paths, run,
};

const VERSION: &str = "0.21.1";
/// cargo-component wants this folder in the sysroot, whatever the target is.
const WANTED_FOLDER: &str = "lib/rustlib/wasm32-wasip1";
const NAME: &str = "same-world-v1";

/// Runs the command.
///
/// # Errors
/// The guest does not build, or the worlds differ.
pub fn run() -> Result<()> {
    let program = ensure_installed()?;
    guests::run(&guests::Args::default())?;
    run::run(&mut run::cargo(&["build", "--package", "assay"]))?;
    let toolchain = guest_toolchain::ensure(None)?;
    let folder = tempfile::Builder::new().prefix("assay-same-world-").tempdir().context("make a folder")?;
    let target = paths::guest_target().join("same-world");
    let assay = |arguments: &[&str]| {
        let mut command = Command::new(run::assay());
        command.args(arguments).current_dir(folder.path()).env("CARGO_TARGET_DIR", &target);
        command
    };
    run::run(&mut assay(&["guest", "new", NAME, "--rust"]))?;
    let mut build = assay(&["guest", "build", NAME, "--out", "built.wasm"]);
    toolchain.apply(&mut build);
    run::run(&mut build)?;
    let ours = fs::read(folder.path().join("built.wasm")).context("read what assay built")?;
    same_digest_elsewhere(&assay, &toolchain, folder.path())?;
    let theirs = by_cargo_component(&program, &toolchain, &folder.path().join(NAME), &target)?;
    let (ours, theirs) = (world(&ours)?, world(&theirs)?);
    ensure!(ours == theirs, "the worlds differ:\n\nassay guest build:\n{ours}\n\ncargo component build:\n{theirs}");
    println!("Both make this world:\n\n{ours}");
    Ok(())
}

/// Builds the same sources in another folder to the same bytes, and checks the error of broken ones.
fn same_digest_elsewhere(assay: &impl Fn(&[&str]) -> Command, toolchain: &Toolchain, folder: &Path) -> Result<()> {
    let elsewhere = folder.join("another/place");
    fs::create_dir_all(elsewhere.parent().context("it has one")?)?;
    fs::rename(folder.join(NAME), &elsewhere).context("move the guest")?;
    let mut build = assay(&["guest", "build", "another/place", "--out", "moved.wasm"]);
    toolchain.apply(&mut build);
    run::run(&mut build)?;
    let same = fs::read(folder.join("built.wasm"))? == fs::read(folder.join("moved.wasm"))?;
    ensure!(same, "the same sources in another folder are another guest");
    println!("Same bytes from both places.");
    let source = elsewhere.join("src/lib.rs");
    let good = fs::read_to_string(&source)?;
    fs::write(&source, format!("{good}\nno Rust\n"))?;
    let mut build = assay(&["guest", "build", "another/place", "--out", "broken.wasm"]);
    toolchain.apply(&mut build);
    let output = build.output().context("run assay")?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let as_promised = error.contains("compile the guest: ") && error.contains("fix: ");
    ensure!(
        !output.status.success() && as_promised,
        "the error of a guest that does not compile lacks step or cure: {error}"
    );
    fs::write(&source, good)?;
    fs::rename(&elsewhere, folder.join(NAME)).context("move the guest back")
}

fn by_cargo_component(program: &Path, toolchain: &Toolchain, guest: &Path, target: &Path) -> Result<Vec<u8>> {
    let _wanted = TemporaryFolder::make(&sysroot(toolchain)?.join(WANTED_FOLDER))?;
    let mut command = Command::new(program);
    command.args(["component", "build", "--release", "--locked", "--target", TARGET]).current_dir(guest);
    toolchain.apply(&mut command);
    // In a folder of its own, because it writes its component over cargo's core module.
    let target = target.join("cargo-component");
    run::run(command.env("CARGO_TARGET_DIR", &target))?;
    let file = target.join(TARGET).join("release").join(format!("{}.wasm", NAME.replace('-', "_")));
    fs::read(&file).with_context(|| format!("read {}", file.display()))
}

fn ensure_installed() -> Result<PathBuf> {
    let root = paths::cache().context("set HOME or XDG_CACHE_HOME")?.join(format!("cargo-component-{VERSION}"));
    let program = root.join("bin/cargo-component");
    if !program.is_file() {
        println!("Compiling cargo-component {VERSION}, once; it takes some minutes.");
        let mut install = run::cargo(&["install", "cargo-component", "--version", VERSION, "--locked", "--root"]);
        run::run(install.arg(&root).env("CARGO_TARGET_DIR", paths::guest_target().join("tools")))?;
    }
    Ok(program)
}

fn sysroot(toolchain: &Toolchain) -> Result<PathBuf> {
    let mut rustc = match toolchain {
        Toolchain::Pinned { .. } => Command::new("rustc"),
        Toolchain::Folder { folder, .. } => Command::new(folder.join("bin/rustc")),
    };
    toolchain.apply(&mut rustc);
    let output = rustc.args(["--print", "sysroot"]).current_dir(paths::root()).output().context("run rustc")?;
    if !output.status.success() {
        bail!("rustc does not say where its sysroot is: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Removes its folder in the end, unless the folder existed before.
struct TemporaryFolder(Option<PathBuf>);

impl TemporaryFolder {
    fn make(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self(None));
        }
        fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(Some(path.to_owned())))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // An empty folder does no harm.
            let _ = fs::remove_dir(path);
        }
    }
}
