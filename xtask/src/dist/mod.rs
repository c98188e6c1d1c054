//! `cargo xtask dist`: the package for machines without Rust. One archive with the binary, the guests and their images, and what an
//! installation needs beside them.

mod archive;
mod contents;
mod crates;
mod glibc;
mod licences;
mod sbom;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::{guests, run, stages::Stages};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Options of `cargo xtask dist`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Package this binary instead of building one
    #[arg(long, value_name = "FILE")]
    pub binary: Option<PathBuf>,
    /// Folder for the archive [default: dist in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Builds and packages, twice: the same binary must give the same bytes.
///
/// # Errors
/// A stage's own, or two packages differ.
pub fn run(args: &Args) -> Result<()> {
    let mut stages = Stages::new("cargo xtask dist", 4);
    stages.run("guests", || guests::run(&guests::Args::default()))?;
    let binary = stages.run("host, optimized", || args.binary.clone().map_or_else(build, Ok))?;
    let package = stages.run("package", || package(&binary))?;
    stages.run("package again", || {
        ensure!(self::package(&binary)? == package, "two packages of one binary differ");
        Ok(())
    })?;
    let out = args.out.clone().unwrap_or_else(|| run::target().join("dist"));
    write(&out, &package)
}

/// Builds the binary with everything that it can have.
fn build() -> Result<PathBuf> {
    run::run(&mut run::cargo(&["build", "--release", "--locked", "--package", "assay", "--features", "wasi"]))?;
    Ok(run::target().join("release/assay"))
}

fn package(binary: &Path) -> Result<Vec<u8>> {
    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let entries = contents::collect(binary, scratch.path())?;
    archive::pack(&name(), &entries).context("pack the archive")
}

/// Returns the name of the archive and of the folder in it.
fn name() -> String {
    format!("assay-{VERSION}-{}-linux", std::env::consts::ARCH)
}

fn write(out: &Path, package: &[u8]) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    let file = format!("{}.tar.gz", name());
    let path = out.join(&file);
    let digest = hex::encode(Sha256::digest(package));
    let sums = path.with_extension("gz.sha256");
    fs::write(&path, package).with_context(|| format!("write {}", path.display()))?;
    fs::write(&sums, format!("{digest}  {file}\n")).with_context(|| format!("write {}", sums.display()))?;
    println!("\n{}  {:.1} MiB\nsha256 {digest}", path.display(), package.len() as f64 / f64::from(1 << 20));
    Ok(())
}
