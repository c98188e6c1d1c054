//! `assay guest …`: write, build, try, test, check and precompile guests. No command needs a database or a bucket.

mod build;
mod cargo;
pub mod check;
mod guest_builder;
mod new;
mod precompile;
mod source;
mod template;
mod test;
mod trial;
mod watch;

use std::{collections::BTreeMap, process::ExitCode};

use assay_core::env::Variables;

use crate::exit::Failure;

/// Write, build, try, test and check guests.
///
/// No database and no bucket are needed, and a model only for `try`. A guest is a folder with guest.toml, prompt.md and
/// schema.json, a Rust crate, or a finished component.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest new minutes-v1               a guest without code
  assay guest new minutes-v2 --rust        a guest with code
  assay guest test minutes-v1              run its fixtures in the sandbox
  assay guest build minutes-v1             make the component for GUEST_DIR")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(new::Arguments),
    Build(build::Arguments),
    Try(trial::Arguments),
    Test(test::Arguments),
    Check(check::Arguments),
    Precompile(precompile::Arguments),
}

pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let vars = Variables::from_map(values.clone());
    match arguments.command {
        Command::New(arguments) => new::run(&arguments),
        Command::Build(arguments) => build::run(&arguments, vars).await,
        Command::Try(arguments) => trial::run(arguments, values).await,
        Command::Test(arguments) => test::run(&arguments, vars).await,
        Command::Check(arguments) => check::run(&arguments, vars).await,
        Command::Precompile(arguments) => precompile::run(&arguments, vars).await,
    }
}
