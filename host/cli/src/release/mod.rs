//! `assay release …`: publish guests, and choose the one that new jobs run on.

mod change;
pub mod names;
mod publish;
mod show;

use std::{collections::BTreeMap, process::ExitCode};

use crate::exit::Failure;

/// Publish guests, and choose the one that new jobs run on.
///
/// A published guest is a release. Its digest identifies it. Each channel runs one release, at most one canary beside it, and at
/// most one shadow, which writes no reports. A job that began on a release stays on it, also when it is retried. VERSION is a
/// prompt version (its newest revision), a revision such as minutes-v1@2, or the start of a digest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release publish minutes-v2.wasm
  assay release activate minutes-v2 --reason 'better next steps'
  assay release shadow minutes-v3
  assay release canary minutes-v3 --percent 5
  assay release promote
  assay release rollback
  assay release list")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Publish(publish::Arguments),
    Activate(change::Activate),
    Canary(change::Canary),
    Shadow(change::Shadow),
    Promote(change::Promote),
    Rollback(change::Rollback),
    Retire(change::Retire),
    List(show::List),
    Show(show::Show),
}

pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Publish(arguments) => publish::run(&arguments, values).await,
        Command::Activate(arguments) => change::activate(&arguments, values).await,
        Command::Canary(arguments) => change::canary(&arguments, values).await,
        Command::Shadow(arguments) => change::shadow(&arguments, values).await,
        Command::Promote(arguments) => change::promote(&arguments, values).await,
        Command::Rollback(arguments) => change::rollback(&arguments, values).await,
        Command::Retire(arguments) => change::retire(&arguments, values).await,
        Command::List(arguments) => show::list(&arguments, values).await,
        Command::Show(arguments) => show::show(&arguments, values).await,
    }
}
