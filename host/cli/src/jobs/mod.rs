//! `assay jobs …`: commands for single jobs.

mod cancel;
mod job_status;
mod list;
mod retry;
mod show;

use std::process::ExitCode;

use assay_core::env::Variables;

use crate::exit::Failure;

/// List jobs, show them, and cancel them.
///
/// Name a job by its own id or by the id of its file. `assay jobs show` prints both. `assay requeue` runs ended jobs again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs list --status failed --since 24h
  assay jobs show 0c9d…
  assay jobs cancel 0c9d…")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Arguments),
    Show(show::Arguments),
    Cancel(cancel::Arguments),
    #[command(hide = true)]
    Retry(retry::Arguments),
}

pub async fn run(arguments: Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::List(arguments) => list::run(arguments, vars).await,
        Command::Show(arguments) => show::run(arguments, vars).await,
        Command::Cancel(arguments) => cancel::run(arguments, vars).await,
        Command::Retry(arguments) => retry::run(arguments, vars).await,
    }
}
