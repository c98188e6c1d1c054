//! `assay jobs cancel`: jobs come to their end, wherever they are.

use std::process::ExitCode;

use anyhow::Context;
use assay_core::env::Variables;
use assay_db::{
    DatabaseConfig,
    queue::{CancelOutcome, Cancelled},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{database, exit::Failure, output};

/// End jobs: file and job fail with the code cancelled.
///
/// A job that waits ends at once. One that runs is ended by its worker with the next beat, a call of the model included, and its
/// answers are kept as at any other failure; where it comes to its own end first, that stays. The request is kept in the
/// database, so it outlives the worker. `assay jobs retry` begins such a job again, with the answers that it has.
///
/// A job that has ended already is refused; it does not stop the others, and the exit code is 1 then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs cancel 0c9d…
  assay jobs cancel 0c9d… 51c2… --json | jq -r '.[].result'")]
pub struct Arguments {
    /// Jobs, by their own ids or those of their files
    #[arg(required = true, value_name = "ID")]
    jobs: Vec<Uuid>,
    /// Print one JSON array, in the order of the jobs
    #[arg(long)]
    json: bool,
}

/// What became of one request.
#[derive(Debug, Serialize)]
struct Told {
    id: Uuid,
    job_id: Option<Uuid>,
    file_id: Option<Uuid>,
    /// `cancelled`, `requested`, `too_late` or `unknown`.
    result: &'static str,
}

impl Told {
    fn of(one: &Cancelled) -> Self {
        let result = match one.done {
            CancelOutcome::Ended => "cancelled",
            CancelOutcome::Requested => "requested",
            CancelOutcome::TooLate => "too_late",
            CancelOutcome::Unknown => "unknown",
        };
        Self { id: one.named, job_id: one.job, file_id: one.file, result }
    }
}

/// Asks, and tells what became of it.
pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = database::open(config).await?;
    let cancelled = database.cancel(&arguments.jobs).await.context("cancel the jobs")?;
    let mut refused = false;
    for one in &cancelled {
        let line = match one.done {
            CancelOutcome::Ended => "cancelled",
            CancelOutcome::Requested => "runs; its worker ends it with its next beat",
            CancelOutcome::TooLate | CancelOutcome::Unknown => {
                let reason =
                    if one.done == CancelOutcome::TooLate { "it has ended already" } else { "there is no such job" };
                eprintln!("error: {}: {reason}", one.named);
                refused = true;
                continue;
            }
        };
        if !arguments.json {
            output::print(&format!("{}  {line}\n", one.named))?;
        }
    }
    if arguments.json {
        output::print_json(&cancelled.iter().map(Told::of).collect::<Vec<_>>())?;
    }
    Ok(ExitCode::from(u8::from(refused)))
}
