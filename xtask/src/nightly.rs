//! `cargo xtask nightly`: the checks that take too long for `cargo xtask test` and rarely fail.
//!
//! A stage that fails does not keep the others from running.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{chaos, component, field, guests, run, setup, stages::Stages};

/// Load of each chaos scenario.
const CHAOS_MINUTES: u32 = 10;

/// Runs every stage.
///
/// # Errors
/// The errors of all stages that failed, each with the command to run it again.
pub fn run() -> Result<()> {
    let mut stages = Stages::new("cargo xtask nightly", 6);
    let results = [
        stages.run("parts of other registries", || setup::run().context("to run it again: cargo xtask setup")),
        stages.run("guests, built twice", || {
            // Deploying the same sources again must change no digest, in whatever folder they were built.
            guests::run(&guests::Args::checked()).context("to run it again: cargo xtask guests --check")
        }),
        stages.run("cargo component", || component::run().context("to run it again: cargo xtask component")),
        stages.run("cases from the field", || {
            field::run(&field::Args::default()).context("to run it again: cargo xtask field")
        }),
        stages.run("chaos, long", || chaos::run(&chaos::Args::every_scenario(CHAOS_MINUTES))),
        stages.run("dependencies", check_dependencies),
    ];
    println!("\n{}", stages.summary());
    let failed: Vec<_> = results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if failed.is_empty() { Ok(()) } else { bail!("{} stages failed:\n  {}", failed.len(), failed.join("\n  ")) }
}

/// Checks licences, sources and advisories of both workspaces, where cargo-deny is installed.
fn check_dependencies() -> Result<()> {
    let mut version = Command::new("cargo-deny");
    version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !version.status().is_ok_and(|status| status.success()) {
        println!("skipped: cargo-deny is not installed");
        return Ok(());
    }
    for manifest in ["Cargo.toml", "guest/Cargo.toml"] {
        run::run(&mut run::cargo(&["deny", "--manifest-path", manifest, "--config", "deny.toml", "check"]))?;
    }
    Ok(())
}
