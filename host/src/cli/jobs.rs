//! `assay jobs …`: what operators do to single jobs.

mod cancel;
mod retry;

use std::process::ExitCode;

use super::exit::Failure;
use crate::variables::Variables;

/// End jobs, and give those that failed a new life.
///
/// A job is named by its own id or by the id of its file; `assay status FILE-ID` shows both.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs cancel 0c9d…
  assay jobs retry 0c9d…
  assay jobs retry --code llm_timeout --since 24h --rate 30/min")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Each is explained where its arguments are.
#[derive(Debug, clap::Subcommand)]
enum Command {
    Cancel(cancel::Arguments),
    Retry(retry::Arguments),
}

/// Runs one of them.
pub async fn run(arguments: Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Cancel(arguments) => cancel::run(arguments, vars).await,
        Command::Retry(arguments) => retry::run(arguments, vars).await,
    }
}
