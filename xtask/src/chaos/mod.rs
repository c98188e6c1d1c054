//! `cargo xtask chaos`: breaks things under load, heals them, and checks what must hold. The program is in tests/chaos.

mod before;

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{guests, run, stages::Stages, system};
use before::Arguments;

/// Options of `cargo xtask chaos`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed on; --help lists them. Here --before takes a revision, and builds it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION|SCENARIO")]
    arguments: Vec<String>,
    /// Build what a run needs, and run nothing
    #[arg(long, hide = true)]
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
    let arguments = Arguments::split(&args.arguments)?;
    if !args.build_only && arguments.program.iter().any(|argument| argument == "--json") {
        return json(&args.arguments, &arguments);
    }
    let total = 3 + usize::from(arguments.needs_before()) + usize::from(!args.build_only);
    let mut stages = Stages::new("cargo xtask chaos", total);
    stages.run("system packages", system::ensure_postgres)?;
    let mut before = None;
    if arguments.needs_before() {
        before = Some(stages.run("build the revision before", || arguments.before())?);
    }
    stages.run("guests", || guests::run(&guests::Args::default()))?;
    stages.run("host, optimized", || {
        // Twenty unoptimized workers would miss every deadline.
        run::run(&mut run::cargo(&["build", "--release", "--package", "assay", "--features", "wasi"]))?;
        run::run(&mut run::cargo(&["build", "--package", "assay-tests", "--bin", "chaos"]))
    })?;
    if args.build_only {
        return Ok(());
    }
    stages.run("chaos", || run::run(&mut optimized(&arguments.program, before.as_deref())))
}

/// Prints only the document on standard output; the stages print to standard error.
fn json(all: &[String], arguments: &Arguments) -> Result<()> {
    let xtask = env::current_exe().context("find this program")?;
    quiet(Command::new(xtask).args(["chaos", "--build-only"]).args(all).stdout(io::stderr()))?;
    let before = if arguments.needs_before() { Some(arguments.before()?) } else { None };
    quiet(&mut optimized(&arguments.program, before.as_deref()))
}

fn optimized(arguments: &[String], before: Option<&Path>) -> Command {
    let mut command = Command::new(program());
    if let Some(before) = before {
        command.arg("--before").arg(before);
    }
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
