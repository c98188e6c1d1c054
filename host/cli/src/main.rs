//! The binary `assay`: parses, builds every concrete thing, runs. One file per command.

mod audit;
mod check;
mod compile;
mod database;
#[cfg(feature = "dev")]
mod dev;
#[cfg(test)]
mod documented;
mod env_file;
mod exit;
mod guest;
#[cfg(test)]
mod help;
mod ids;
mod jobs;
mod migrate;
mod output;
mod queue;
mod rate;
mod reindent;
mod release;
mod replay;
mod report;
mod rerun;
mod since;
mod status;
mod submit;
mod sweep;
mod verdict;
mod wait;
mod worker;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use assay_core::env::Variables;
use assay_worker::telemetry::TelemetryConfig;
use clap::{Parser, Subcommand};

use exit::Failure;

/// What the help ends with: only commands that this binary has.
#[cfg(feature = "dev")]
const EXAMPLES: &str = "Examples:
  assay dev                                       everything on this machine, embedded
  assay --env-file .assay/env submit call.vtt --wait
  assay --env-file .assay/env status
  assay check && assay worker                     a deployment";

/// What the help ends with: only commands that this binary has.
#[cfg(not(feature = "dev"))]
const EXAMPLES: &str = "Examples:
  assay check && assay worker
  assay --env-file env submit call.vtt --wait
  assay --env-file env status";

/// Turns transcripts into reports that can be trusted.
///
/// Everything is configured by environment variables; the README lists them.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = EXAMPLES
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Read variables from a file of KEY=value lines; they win over those of the environment
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// Each is explained where its arguments are.
#[derive(Debug, Subcommand)]
enum Command {
    Worker(worker::Arguments),
    Migrate(migrate::Arguments),
    Submit(submit::Arguments),
    Status(status::Arguments),
    Report(report::Arguments),
    Rerun(rerun::Arguments),
    Jobs(jobs::Arguments),
    Queue(queue::Arguments),
    Check(check::Arguments),
    Guest(guest::Arguments),
    Release(release::Arguments),
    Replay(replay::Arguments),
    Sweep(sweep::Arguments),
    #[cfg(feature = "dev")]
    Dev(dev::Arguments),
    /// Compile one guest; what the worker starts as a short-lived child
    #[command(hide = true, name = compile::NAME)]
    Compile,
}

impl Command {
    /// What is logged where `LOG_LEVEL` says nothing: services tell what they do, and the answer of a command is not
    /// drowned in the log of its parts.
    fn log_level(&self) -> Option<&'static str> {
        match self {
            Self::Worker(_) => None,
            // Each deletion is told, as a worker tells it.
            Self::Sweep(_) => None,
            #[cfg(feature = "dev")]
            Self::Dev(_) => None,
            Self::Migrate(_)
            | Self::Submit(_)
            | Self::Rerun(_)
            | Self::Jobs(_)
            | Self::Queue(_)
            | Self::Release(_)
            | Self::Replay(_)
            | Self::Compile => Some("warn"),
            Self::Status(_) | Self::Report(_) | Self::Check(_) | Self::Guest(_) => Some("error"),
        }
    }
}

/// Runs the command line of this process.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::Compile) {
        return compile::run();
    }
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let mut values: BTreeMap<_, _> = environment();
    if let Some(file) = &arguments.env_file {
        values.extend(env_file::read(file)?);
    }
    let command = arguments.command;
    if let Some(level) = command.log_level() {
        let unset = |level: &String| level.trim().is_empty();
        if values.get("LOG_LEVEL").is_none_or(unset) {
            values.insert("LOG_LEVEL".to_owned(), level.to_owned());
        }
    }
    let mut vars = Variables::from_map(values.clone());
    TelemetryConfig::load(&mut vars).start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Worker(arguments) => worker::run(arguments, vars).await,
            Command::Migrate(arguments) => migrate::run(arguments, vars).await,
            Command::Submit(arguments) => submit::run(arguments, vars).await,
            Command::Status(arguments) => status::run(arguments, vars).await,
            Command::Report(arguments) => report::run(arguments, vars).await,
            Command::Rerun(arguments) => rerun::run(arguments, vars).await,
            Command::Jobs(arguments) => jobs::run(arguments, vars).await,
            Command::Queue(arguments) => queue::run(arguments, values).await,
            Command::Check(arguments) => check::run(arguments, values).await,
            Command::Guest(arguments) => guest::run(arguments, values).await,
            Command::Release(arguments) => release::run(arguments, values).await,
            Command::Replay(arguments) => replay::run(arguments, values).await,
            Command::Sweep(arguments) => sweep::run(arguments, vars).await,
            #[cfg(feature = "dev")]
            Command::Dev(arguments) => dev::run(arguments, values).await,
            Command::Compile => unreachable!("handled before the runtime was built"),
        }
    })
}

/// The one look at the environment. What is not Unicode is none of our variables.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
