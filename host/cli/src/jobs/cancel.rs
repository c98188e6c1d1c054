//! `assay jobs cancel`.

use std::process::ExitCode;

use anyhow::Context;
use assay_core::env::Variables;
use assay_db::{
    DatabaseConfig,
    queue::{CancelOutcome, Cancelled},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{database, exit::Failure, output, terminal};

/// Cancel jobs: job and file fail with the code `cancelled`.
///
/// A queued job ends at once. The worker of a running job ends it with its next heartbeat, also during a model call, and keeps
/// its answers. If the job ends by itself first, that result stays. The request is stored in the database, so it survives a
/// restart of the worker. `assay requeue` starts a cancelled job again, with its answers.
///
/// A job that has ended is refused. The others go on, and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs cancel 0c9d…
  assay jobs cancel 0c9d… 51c2… --json | jq -r '.[].result'")]
pub struct Arguments {
    /// Ids of jobs or files
    #[arg(required = true, value_name = "ID")]
    jobs: Vec<Uuid>,
    /// Print one JSON array, in the order of the jobs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct CancelView {
    id: Uuid,
    job_id: Option<Uuid>,
    file_id: Option<Uuid>,
    /// `cancelled`, `requested`, `too_late` or `unknown`.
    result: &'static str,
}

impl CancelView {
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
                terminal::error(format_args!("{}: {reason}", one.named));
                refused = true;
                continue;
            }
        };
        if !arguments.json {
            output::print(&format!("{}  {line}\n", one.named))?;
        }
    }
    if arguments.json {
        output::print_json(&cancelled.iter().map(CancelView::of).collect::<Vec<_>>())?;
    }
    Ok(ExitCode::from(u8::from(refused)))
}
