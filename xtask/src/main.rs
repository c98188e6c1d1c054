//! `cargo xtask …`: what a developer runs. A thin dispatcher; each command is a module.

mod guest_toolchain;
mod guests;
mod paths;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Assay", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the guests into guest/dist, and make their target available first
    Guests(guests::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Guests(args) => guests::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
