//! `cargo xtask bench …`: what a job, a swap of releases and a guest's call cost, measured on optimized builds. No test, and no part of CI.

mod ablation;
mod ajv;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    guests::{self, compile},
    paths, run,
    stages::Stages,
    system,
};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Subject,
}

/// What can be measured.
#[derive(clap::Subcommand)]
enum Subject {
    /// A whole job: CPU, jobs per second, memory, commits, WAL bytes, pick-up latency
    Pipeline {
        /// Measure this optimized binary of another revision in turn with this tree's
        #[arg(long, value_name = "FILE")]
        before: Option<PathBuf>,
        /// Measure one part alone: throughput, pick-up, claims, crowd or beside
        #[arg(long, value_name = "PART")]
        only: Option<String>,
    },
    /// Releases that are exchanged under load: no job fails, no call is repeated, and how soon the new one runs
    Release,
    /// Claims behind a million jobs that cannot run: what they read, and how soon a worker finds the job behind them
    Backlog,
    /// A guest's call: beside native validation and Ajv in Node, and what building and loading take
    Guest {
        /// Build the generic guest in other ways too, and measure them beside the shipped one
        #[arg(long)]
        ablation: bool,
        /// Measure this core module of the generic guest too: guest/dist/core/generic.wasm of another revision
        #[arg(long, value_name = "NAME=FILE", value_parser = named_file)]
        generic: Vec<(String, PathBuf)>,
    },
}

/// Builds with optimizations, measures, and fails where a bound is missed.
///
/// # Errors
/// A stage's own, or a missed bound.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        Subject::Pipeline { before, only } => pipeline(before.as_deref(), only.as_deref()),
        Subject::Release => worker("cargo xtask bench release", "release", &[]),
        Subject::Backlog => worker("cargo xtask bench backlog", "backlog", &[]),
        Subject::Guest { ablation, generic } => guest(*ablation, generic),
    }
}

fn named_file(text: &str) -> Result<(String, PathBuf)> {
    let (name, path) = text.split_once('=').context("a name, '=' and a file")?;
    // The bench runs in another folder.
    let path = std::path::absolute(path)?;
    Ok((name.to_owned(), path))
}

fn pipeline(before: Option<&Path>, only: Option<&str>) -> Result<()> {
    let mut args: Vec<OsString> = Vec::new();
    if let Some(before) = before {
        // The bench runs in another folder.
        args.extend(["--before".into(), std::path::absolute(before)?.into()]);
    }
    if let Some(only) = only {
        args.extend(["--only".into(), only.into()]);
    }
    worker("cargo xtask bench pipeline", "pipeline", &args)
}

/// A bench of the optimized binary.
fn worker(command: &'static str, bench: &'static str, args: &[OsString]) -> Result<()> {
    let mut stages = Stages::new(command, 4);
    stages.run("system packages", system::ensure_postgres)?;
    stages.run("guests", || guests::run(&guests::Args::default()))?;
    stages.run("host, optimized", || run::run(&mut run::cargo(&["build", "--release", "--package", "assay"])))?;
    stages.run("bench", || {
        run::run(run::cargo(&["bench", "--package", "assay-tests", "--bench", bench, "--"]).args(args))
    })
}

fn guest(with_ablation: bool, others: &[(String, PathBuf)]) -> Result<()> {
    let mut stages = Stages::new("cargo xtask bench guest", if with_ablation { 4 } else { 3 });
    let folder = stages.run("Node and Ajv", ajv::ensure)?;
    stages.run("guests", || guests::run(&guests::Args::default()))?;
    let mut generics = vec![("as shipped".to_owned(), paths::root().join("guest/dist/core/generic.wasm"))];
    generics.extend_from_slice(others);
    if with_ablation {
        generics.extend(stages.run("guests, built in other ways", ablation::build)?);
    }
    stages.run("bench", || {
        let mut bench = run::cargo(&["bench", "--package", "assay-tests", "--bench", "guest", "--", "--ajv"]);
        bench.arg(&folder);
        for (name, path) in &generics {
            bench.arg("--generic").arg(format!("{name}={}", path.display()));
        }
        if with_ablation {
            bench.arg("--uninitialized").arg(compile::release(&paths::guest_target()).join("meeting_v2.wasm"));
        }
        run::run(&mut bench)
    })
}
