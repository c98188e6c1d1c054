//! The command line: parses, builds every concrete thing, runs. One file per command.

mod compile;
mod exit;
mod migrate;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use exit::Failure;

use crate::{telemetry::TelemetryConfig, variables::Variables};

/// Turns transcripts into reports that can be trusted.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run jobs until a signal: the first drains, the second gives the jobs back
    Worker(worker::Arguments),
    /// Bring the database's schema up, or down
    Migrate(migrate::Arguments),
    /// Compile one guest; what the worker starts as a short-lived child
    #[command(hide = true, name = compile::NAME)]
    Compile,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::Compile) {
        return compile::run();
    }
    let vars = Variables::from_process();
    match run(arguments.command, vars) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command, mut vars: Variables) -> Result<ExitCode, Failure> {
    TelemetryConfig::load(&mut vars).start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Worker(arguments) => worker::run(arguments, vars).await,
            Command::Migrate(arguments) => migrate::run(arguments, vars).await,
            Command::Compile => unreachable!("handled before the runtime was built"),
        }
    })
}
