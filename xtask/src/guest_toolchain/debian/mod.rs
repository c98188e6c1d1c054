//! A toolchain put together from Debian's packages, for machines that reach a Debian mirror and not rustup's server.
//!
//! The packages conflict with rustup, so nothing is installed: they are downloaded, unpacked and laid out like a toolchain in the
//! user's cache folder. Debian ships no standard library for the target; it is built once, with its bitcode, so that guests can be
//! link-time optimized. Everything happens in a folder beside the final one, which then takes its name in one step.

mod packages;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use super::{TARGET, Toolchain, bounded::run, use_folder, version};
use crate::paths;
use packages::Packages;

/// Under this name rustup lists it, for `cargo +assay-guest`.
const NAME: &str = "assay-guest";
/// The last file written; without it a folder is a ruin.
const COMPLETE: &str = "assay-complete";
const COMPILE: Duration = Duration::from_secs(900);
const QUICK: Duration = Duration::from_secs(60);

/// Finds the toolchain in the cache or makes it.
pub fn ensure() -> Result<Toolchain> {
    if let Some(toolchain) = cached()? {
        return Ok(toolchain);
    }
    println!("Making a compiler for {TARGET} from the distribution's packages, once; it takes some minutes.");
    let folder = folder()?;
    let parent = folder.parent().expect("lies in the cache folder");
    fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    let work =
        tempfile::Builder::new().prefix("guest-toolchain-").tempdir_in(parent).context("make a working folder")?;
    let packages = Packages::discover(&host()?)?;
    println!("  {packages}");
    let unpacked = packages.fetch(work.path())?;
    let toolchain = work.path().join("toolchain");
    lay_out(&unpacked, &toolchain, &packages)?;
    build_std(work.path(), &toolchain)?;
    prove(work.path(), &toolchain)?;
    fs::write(toolchain.join(COMPLETE), packages.to_string()).context("mark the toolchain complete")?;
    settle(&toolchain, &folder)?;
    link(&folder);
    cached()?.with_context(|| format!("{} was made and is not usable; delete it and try again", folder.display()))
}

/// Returns the toolchain, if it was made before.
pub fn cached() -> Result<Option<Toolchain>> {
    let folder = folder()?;
    if !folder.join(COMPLETE).is_file() || !has_std(&folder) {
        return Ok(None);
    }
    let version = version(&mut rustc(&folder))
        .with_context(|| format!("the compiler in {} is broken; delete the folder", folder.display()))?;
    Ok(Some(Toolchain::Folder { folder, version }))
}

/// Returns whether a sysroot has a standard library for the target.
pub fn has_std(sysroot: &Path) -> bool {
    let library = fs::read_dir(target_libraries(sysroot)).ok();
    library.into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn folder() -> Result<PathBuf> {
    paths::cache().map(|cache| cache.join("guest-toolchain")).context("set HOME or XDG_CACHE_HOME")
}

fn target_libraries(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(TARGET).join("lib")
}

fn rustc(folder: &Path) -> Command {
    let mut rustc = Command::new(folder.join("bin/rustc"));
    use_folder(&mut rustc, folder);
    rustc
}

/// Returns the triple of this machine, as the compiler at hand says it.
fn host() -> Result<String> {
    let said = run("ask rustc for the host", Command::new("rustc").arg("-vV").current_dir(paths::root()), QUICK)?;
    said.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).context("rustc names no host")
}

/// Makes of `usr/` what rustup would have made.
fn lay_out(unpacked: &Path, toolchain: &Path, packages: &Packages) -> Result<()> {
    let usr = unpacked.join("usr");
    let lib = toolchain.join("lib");
    for folder in
        [toolchain.join("bin"), lib.join("rustlib/src/rust"), lib.join("rustlib").join(&packages.host).join("bin")]
    {
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    }
    take(&usr.join("bin/rustc"), &toolchain.join("bin/rustc"))?;
    let multiarch = multiarch(&usr.join("lib"))?;
    for entry in fs::read_dir(&multiarch)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".so") {
            take(&entry.path(), &lib.join(entry.file_name()))?;
        }
    }
    let rustlib = Path::new("rustlib").join(&packages.host);
    take(&usr.join("lib").join(&rustlib).join("lib"), &lib.join(&rustlib).join("lib"))?;
    take(&usr.join("lib").join(format!("llvm-{}/bin/lld", packages.llvm)), &lib.join(&rustlib).join("bin/rust-lld"))?;
    let source = usr.join("src").join(format!("rustc-{}", packages.rust));
    take(&source.join("library"), &lib.join("rustlib/src/rust/library"))?;
    let runs =
        run("try the compiler", rustc(toolchain).arg("-vV"), QUICK).context("the unpacked compiler does not run")?;
    ensure!(runs.contains(&packages.host), "the unpacked compiler is for another machine");
    Ok(())
}

/// Returns the folder of shared libraries for this machine, `lib/x86_64-linux-gnu`.
fn multiarch(lib: &Path) -> Result<PathBuf> {
    let driver = |folder: &Path| {
        fs::read_dir(folder)
            .ok()
            .into_iter()
            .flatten()
            .flatten()
            .any(|file| file.file_name().to_string_lossy().starts_with("librustc_driver"))
    };
    let folders = fs::read_dir(lib).with_context(|| format!("list {}", lib.display()))?;
    folders
        .flatten()
        .map(|entry| entry.path())
        .find(|folder| driver(folder))
        .context("the packages hold no librustc_driver")
}

fn take(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("the packages hold no {}", from.display()))
}

/// Builds the standard library for the target and puts it into the sysroot; its sources go, for nothing needs them any more.
fn build_std(work: &Path, toolchain: &Path) -> Result<()> {
    let project = project(&work.join("std"), "", "[lib]\n")?;
    let sources = toolchain.join("lib/rustlib/src/rust");
    let home =
        env_path("CARGO_HOME").or_else(|| env_path("HOME").map(|home| home.join(".cargo"))).context("set HOME")?;
    // The paths of this machine must not reach the guests through the library's panic locations.
    let flags = [
        "-Cembed-bitcode=yes".to_owned(),
        format!("--remap-path-prefix={}=/rustc", sources.display()),
        format!("--remap-path-prefix={}=/cargo", home.display()),
    ];
    let mut cargo = cargo(&project, toolchain);
    cargo.args(["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort"]);
    // The switch that lets a stable compiler build its own library.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    run("build the standard library", &mut cargo, COMPILE)?;
    let library = target_libraries(toolchain);
    fs::create_dir_all(&library)?;
    for entry in fs::read_dir(project.join("target").join(TARGET).join("release/deps"))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".rlib") && !name.starts_with("libprobe-") {
            fs::copy(entry.path(), library.join(&*name)).with_context(|| format!("copy {name}"))?;
        }
    }
    fs::remove_dir_all(&sources).context("remove the sources of the standard library")
}

/// A guest in small, link-time optimized and with a build script: what the real ones will ask of the toolchain.
fn prove(work: &Path, toolchain: &Path) -> Result<()> {
    let source = "#[unsafe(no_mangle)] pub extern \"C\" fn probe(n: usize) -> usize { let words: std::collections::BTreeMap<usize, String> = (0..n).map(|i| (i, i.to_string())).collect(); words.len() }";
    let project = project(
        &work.join("probe"),
        source,
        "[lib]\ncrate-type = [\"cdylib\"]\n[profile.release]\nlto = true\ncodegen-units = 1\npanic = \"abort\"\n",
    )?;
    fs::write(project.join("build.rs"), "fn main() {}\n")?;
    let mut cargo = cargo(&project, toolchain);
    cargo.args(["build", "--release", "--target", TARGET]);
    run("try the toolchain with link-time optimization", &mut cargo, COMPILE)?;
    let module = fs::read(project.join("target").join(TARGET).join("release/probe.wasm"))
        .context("the toolchain made no module")?;
    ensure!(module.starts_with(b"\0asm"), "the toolchain made something else than WebAssembly");
    Ok(())
}

fn project(folder: &Path, source: &str, manifest: &str) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), source)?;
    let head = "[workspace]\n[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";
    fs::write(folder.join("Cargo.toml"), format!("{head}{manifest}"))?;
    Ok(folder.to_owned())
}

fn cargo(project: &Path, toolchain: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(project)
        .env("CARGO_TARGET_DIR", project.join("target"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    use_folder(&mut cargo, toolchain);
    cargo
}

fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// Gives the finished toolchain its place. Where another run was faster, its toolchain is as good.
fn settle(made: &Path, folder: &Path) -> Result<()> {
    if folder.exists() && !folder.join(COMPLETE).is_file() {
        fs::remove_dir_all(folder).with_context(|| format!("remove the unfinished {}", folder.display()))?;
    }
    match fs::rename(made, folder) {
        Ok(()) => Ok(()),
        Err(_) if folder.join(COMPLETE).is_file() => Ok(()),
        Err(error) => bail!("move the toolchain to {}: {error}", folder.display()),
    }
}

/// For people who call cargo themselves; the builds here name the compiler by its path.
fn link(folder: &Path) {
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "link", NAME]).arg(folder);
    match run("rustup toolchain link", &mut rustup, QUICK) {
        Ok(_) => println!("  rustup knows it as {NAME}"),
        Err(_) => println!("  rustup does not know it; that matters only for `cargo +{NAME}`"),
    }
}
