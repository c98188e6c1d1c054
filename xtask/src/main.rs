//! `cargo xtask …`: the developer commands, one module each.

#![expect(
    clippy::disallowed_methods,
    reason = "a developer command reads the environment that cargo and the shell give it"
)]

mod bench;
mod chaos;
mod compare;
mod component;
mod demo;
mod dist;
mod docs;
mod field;
mod guest_toolchain;
mod guests;
mod nightly;
mod page;
mod paths;
mod queries;
mod revision;
mod run;
mod setup;
mod stages;
mod system;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Check what is too slow for `test`: reproducible guests, cargo-component, field, long chaos, dependencies
    Nightly,
    /// Build a new guest with cargo-component too, and compare both
    Component,
    /// Write the metadata of the queries into .sqlx, or check it
    Sqlx(queries::Args),
    /// Measure on optimized builds; fails where a bound is missed
    Bench(bench::Args),
    /// Build the guests into guest/dist, and make their target available first
    Guests(guests::Args),
    /// Break things under load, heal them, and check what must hold
    #[command(disable_help_flag = true)]
    Chaos(chaos::Args),
    /// Write the generated parts of pages: configuration, errors, .env.example
    Docs,
    /// Run the cases that people met in real use, on real parts
    Field(field::Args),
    /// Make the package for machines without Rust
    Dist(dist::Args),
    /// Install what `field` and `nightly` need: packages of Debian, PyPI and npm
    Setup,
    /// Compare what this tree does with what another revision does
    Compare(compare::Args),
    /// Run the commands on pages of docs/ and compare their output with the page
    Page(page::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Test => test::run(),
        Command::Nightly => nightly::run(),
        Command::Component => component::run(),
        Command::Bench(args) => bench::run(&args),
        Command::Sqlx(args) => queries::run(&args),
        Command::Guests(args) => guests::run(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::Docs => docs::run(),
        Command::Field(args) => field::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Setup => setup::run(),
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
