//! Proof that a guest's crate is a crate like any other: cargo-component makes the same world of it as `assay guest build`.
//!
//! It is frozen upstream, so nothing else here depends on it. It is compiled once, into the user's cache folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use assay_guest_build::world;

use crate::{
    guest_toolchain::{self, TARGET, Toolchain},
    paths, run,
};

const VERSION: &str = "0.21.1";
/// cargo-component asks for this target's folder in the sysroot whatever the target is.
const ASKED_FOR: &str = "lib/rustlib/wasm32-wasip1";
const NAME: &str = "same-world-v1";

/// Builds a new guest both ways, and compares.
///
/// # Errors
/// It does not build, or the worlds differ.
pub fn prove() -> Result<()> {
    let program = ensure_installed()?;
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

/// The same sources in another folder are the same guest; broken ones are told with step and cure.
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
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let as_promised = told.contains("compile the guest: ") && told.contains("fix: ");
    ensure!(!output.status.success() && as_promised, "a guest that does not compile is told so: {told}");
    fs::write(&source, good)?;
    fs::rename(&elsewhere, folder.join(NAME)).context("move the guest back")
}

fn by_cargo_component(program: &Path, toolchain: &Toolchain, guest: &Path, target: &Path) -> Result<Vec<u8>> {
    let _asked_for = Folder::make(&sysroot(toolchain)?.join(ASKED_FOR))?;
    let mut command = Command::new(program);
    command.args(["component", "build", "--release", "--locked", "--target", TARGET]).current_dir(guest);
    toolchain.apply(&mut command);
    // A folder of its own: it writes its component over cargo's core module.
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

/// An empty folder that was not there before and is not there afterwards.
struct Folder(Option<PathBuf>);

impl Folder {
    fn make(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self(None));
        }
        fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(Some(path.to_owned())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // An empty folder that stays does no harm.
            let _ = fs::remove_dir(path);
        }
    }
}
