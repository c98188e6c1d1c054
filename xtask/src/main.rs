//! `cargo xtask …`: what a developer runs. A thin dispatcher; each command is a module.

mod bench;
mod cargo_component;
mod chaos;
mod compare;
mod demo;
mod guest_toolchain;
mod guests;
mod page;
mod paths;
mod queries;
mod run;
mod stages;
mod system;
mod test;

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
    /// Set everything up, process docs/samples, and show what became of each
    Demo(demo::Args),
    /// Check everything that must hold before a change is merged; what CI runs
    Test,
    /// Write what sqlx knows about the queries into .sqlx, or check it
    Sqlx(queries::Args),
    /// Measure on optimized builds; fails where a bound is missed
    Bench(bench::Args),
    /// Build the guests into guest/dist, and make their target available first
    Guests(guests::Args),
    /// Break things under load, heal them, and check what must hold
    #[command(disable_help_flag = true)]
    Chaos(chaos::Args),
    /// Compare what this tree does with what another revision does
    Compare(compare::Args),
    /// Follow pages of docs/ word by word, and compare what it says with what happens
    Page(page::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Test => test::run(),
        Command::Bench(args) => bench::run(&args),
        Command::Sqlx(args) => queries::run(&args),
        Command::Guests(args) => guests::run(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Page(args) => page::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
