//! Runs a command with one throwaway Postgres cluster for all the test processes that it starts:
//! `cargo run -p assay-tests --bin with-postgres -- cargo nextest run`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use assay_dev::{Postgres, PostgresOptions};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().context("name a command to run")?;
    // Test processes run side by side, each with a few pools.
    let postgres = Postgres::start(PostgresOptions::throwaway().setting("max_connections", "500")).await?;
    let mut command = Command::new(&program);
    command.args(arguments).env("ASSAY_TEST_POSTGRES", postgres.admin_url());
    let status = tokio::task::spawn_blocking(move || command.status())
        .await?
        .with_context(|| format!("run {}", program.display()))?;
    postgres.stop().await?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
