//! The binary `assay`: parses the command line and runs one command. Each command has a file or a folder of its own.

// Only `terminal` writes to standard error, because it replaces what a terminal would obey.
#![warn(clippy::print_stderr)]

mod audit;
mod check;
mod compile;
mod completions;
mod database;
#[cfg(feature = "dev")]
mod dev;
#[cfg(test)]
mod documented;
mod env_file;
mod exit;
mod file_limit;
mod guest;
#[cfg(test)]
mod help;
mod ids;
mod job_code;
mod jobs;
mod migrate;
mod output;
mod queue;
mod rate;
mod reindent;
mod release;
mod replay;
mod report;
mod requeue;
mod rerun;
mod since;
mod status;
mod submit;
mod sweep;
mod terminal;
mod wait;
mod worker;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use assay_core::env::Variables;
use assay_worker::telemetry::TelemetryConfig;
use clap::{Parser, Subcommand};

use crate::exit::Failure;

#[cfg(feature = "dev")]
const EXAMPLES: &str = "Examples:
  assay dev                                       everything in one process, to try it out
  assay --env-file .assay/env submit call.vtt --wait
  assay --env-file .assay/env status
  assay check && assay worker                     in a deployment";

#[cfg(not(feature = "dev"))]
const EXAMPLES: &str = "Examples:
  assay check && assay worker
  assay --env-file env submit call.vtt --wait
  assay --env-file env status";

/// Turns transcripts into reports that can be trusted.
///
/// Environment variables configure everything; docs/configuration.md lists them.
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
    /// Read variables from a file of KEY=value lines; they override the environment
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Worker(worker::Arguments),
    Migrate(migrate::Arguments),
    Submit(submit::Arguments),
    Status(status::Arguments),
    Report(report::Arguments),
    Requeue(requeue::Arguments),
    #[command(hide = true)]
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
    Completions(completions::Arguments),
    /// Compile one guest; the worker starts it as a short-lived child
    #[command(hide = true, name = compile::NAME)]
    Compile,
}

impl Command {
    /// Returns the log level if `LOG_LEVEL` is not set. Services log what they do; a command logs little, so that its output
    /// stays readable.
    fn log_level(&self) -> Option<&'static str> {
        match self {
            Self::Worker(_) => None,
            // A sweep logs each deletion, as a worker does.
            Self::Sweep(_) => None,
            #[cfg(feature = "dev")]
            Self::Dev(_) => None,
            Self::Migrate(_)
            | Self::Submit(_)
            | Self::Requeue(_)
            | Self::Rerun(_)
            | Self::Jobs(_)
            | Self::Queue(_)
            | Self::Release(_)
            | Self::Replay(_)
            | Self::Compile => Some("warn"),
            Self::Status(_) | Self::Report(_) | Self::Check(_) | Self::Guest(_) | Self::Completions(_) => Some("error"),
        }
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::report_usage(&error),
    };
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
    assay_network::choose_crypto();
    let mut vars = Variables::from_map(values.clone());
    TelemetryConfig::load(&mut vars).start();
    if let Err(error) = file_limit::raise() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Worker(arguments) => worker::run(arguments, vars).await,
            Command::Migrate(arguments) => migrate::run(arguments, vars).await,
            Command::Submit(arguments) => submit::run(arguments, vars).await,
            Command::Status(arguments) => status::run(arguments, vars).await,
            Command::Report(arguments) => report::run(arguments, vars).await,
            Command::Requeue(arguments) => requeue::run(arguments, vars).await,
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
            Command::Completions(arguments) => completions::run(&arguments),
            Command::Compile => unreachable!("handled before the runtime was built"),
        }
    })
}

/// Returns the environment, without what is not Unicode.
#[expect(
    clippy::disallowed_methods,
    reason = "the one read of the environment; every command takes the values as an argument"
)]
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
