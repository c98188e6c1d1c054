//! `cargo xtask chaos`: breaks things under load, heals them, and checks what must hold. The program is in tests/chaos.

use std::{env, io, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{guests, run, stages::Stages, system};

/// Options of `cargo xtask chaos`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed on; --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION|SCENARIO")]
    arguments: Vec<String>,
    /// Build what a run needs, and run nothing
    #[arg(long, hide = true, exclusive = true)]
    build_only: bool,
}

impl Args {
    /// Returns a run of every scenario under so many minutes of load each, with a new seed.
    pub fn every_scenario(minutes: u32) -> Self {
        Self { arguments: vec!["--minutes".to_owned(), minutes.to_string()], build_only: false }
    }
}

/// Builds what a run needs, and runs it.
///
/// # Errors
/// A stage fails, or an invariant broke.
pub fn run(args: &Args) -> Result<()> {
    if args.arguments.iter().any(|argument| argument == "--json") {
        return json(&args.arguments);
    }
    let mut stages = Stages::new("cargo xtask chaos", if args.build_only { 3 } else { 4 });
    stages.run("system packages", system::ensure_postgres)?;
    stages.run("guests", || guests::run(&guests::Args::default()))?;
    stages.run("host, optimized", || {
        // Twenty unoptimized workers would miss every deadline.
        run::run(&mut run::cargo(&["build", "--release", "--package", "assay", "--features", "wasi"]))?;
        run::run(&mut run::cargo(&["build", "--package", "assay-tests", "--bin", "chaos"]))
    })?;
    if args.build_only {
        return Ok(());
    }
    stages.run("chaos", || run::run(&mut optimized(&args.arguments)))
}

/// Prints only the document on standard output; the stages print to standard error.
fn json(arguments: &[String]) -> Result<()> {
    let xtask = env::current_exe().context("find this program")?;
    quiet(Command::new(xtask).args(["chaos", "--build-only"]).stdout(io::stderr()))?;
    quiet(&mut optimized(arguments))
}

fn optimized(arguments: &[String]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env("ASSAY_BIN", run::target().join("release/assay"));
    command
}

/// Runs a command without printing its line first.
fn quiet(command: &mut Command) -> Result<()> {
    let line = run::line(command);
    let status = command.status().with_context(|| format!("run `{line}`"))?;
    if !status.success() {
        bail!("it ended with {status}; to run it again: {line}");
    }
    Ok(())
}

/// Runs all scenarios briefly, with a fixed seed, on the binaries that `cargo test --workspace` has built.
///
/// # Errors
/// An invariant broke.
pub fn short() -> Result<()> {
    run::run(Command::new(program()).args(["--short", "--seed", "1"]))
}

fn program() -> PathBuf {
    run::target().join("debug/chaos")
}
