//! `cargo xtask bench …`: what a job costs, measured on optimized builds. No test, and no part of CI.

use crate::{guests, run, stages::Stages, system};
use anyhow::Result;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure
    what: Subject,
}

/// What can be measured.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// A whole job: CPU, jobs per second, memory, commits, WAL bytes, pick-up latency
    Pipeline,
}

/// Builds with optimizations, measures, and fails where a bound is missed.
///
/// # Errors
/// A stage's own, or a missed bound.
pub fn run(args: &Args) -> Result<()> {
    let Subject::Pipeline = args.what;
    let mut stages = Stages::new("cargo xtask bench pipeline", 4);
    stages.run("system packages", system::ensure_postgres)?;
    stages.run("guests", || guests::run(&guests::Args::default()))?;
    stages.run("host, optimized", || run::run(&mut run::cargo(&["build", "--release", "--package", "assay"])))?;
    stages.run("bench", || run::run(&mut run::cargo(&["bench", "--package", "assay-tests", "--bench", "pipeline"])))?;
    Ok(())
}
