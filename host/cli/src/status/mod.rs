//! `assay status`: the queue, its pauses and its workers; or one file with its attempts.

mod overview;
pub mod render;

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use assay_core::{env::Variables, ids::FileId};
use assay_db::{Database, DatabaseConfig};

use crate::{database, exit::Failure, output, status::overview::Overview};

/// Show the queue and its workers, or one file with its attempts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay status                     jobs by status, and the workers
  assay status 0c9d…               one file with its job and every attempt
  assay status 0c9d… --json | jq -r .error_code")]
pub struct Arguments {
    /// The file id that `assay submit` printed
    #[arg(value_name = "FILE-ID")]
    file: Option<FileId>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = database::open(config).await?;
    match arguments.file {
        Some(file) => show_file(&database, file, arguments.json).await?,
        None => show_overview(&database, arguments.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show_file(database: &Database, file: FileId, json: bool) -> anyhow::Result<()> {
    let state = database.file_status(file).await.context("look up the file")?;
    let state = state.ok_or_else(|| anyhow!("there is no file {file}"))?;
    if json {
        output::print_json(&state)?
    } else {
        output::print(&render::file(&state))?
    }
    Ok(())
}

async fn show_overview(database: &Database, json: bool) -> anyhow::Result<()> {
    let overview = Overview {
        queue: overview::complete(database.queue_depth().await.context("read the queue")?),
        paused: database.pauses().await.context("list the pauses")?,
        workers: database.live_workers().await.context("list the workers")?,
    };
    if json {
        output::print_json(&overview)?
    } else {
        output::print(&render::overview(&overview))?
    }
    Ok(())
}
