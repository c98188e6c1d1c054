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
/// A job that has ended is refused, and so is one whose rows the database refuses to change. The others go on, and the exit
/// code is 1.
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
    /// `cancelled`, `requested`, `too_late`, `unknown` or `refused`.
    result: &'static str,
    /// Why the database refuses to change the job's rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<String>,
}

impl CancelView {
    fn of(one: &Cancelled) -> Self {
        let result = match one.done {
            CancelOutcome::Ended => "cancelled",
            CancelOutcome::Requested => "requested",
            CancelOutcome::TooLate => "too_late",
            CancelOutcome::Unknown => "unknown",
            CancelOutcome::Refused(_) => "refused",
        };
        let sqlstate = match &one.done {
            CancelOutcome::Refused(sqlstate) => Some(sqlstate.clone()),
            _ => None,
        };
        Self { id: one.named, job_id: one.job, file_id: one.file, result, sqlstate }
    }
}

/// Returns what is printed of a job, or why it is refused.
fn line(done: &CancelOutcome) -> Result<&'static str, String> {
    match done {
        CancelOutcome::Ended => Ok("cancelled"),
        CancelOutcome::Requested => Ok("runs; its worker ends it with its next beat"),
        CancelOutcome::TooLate => Err("it has ended already".to_owned()),
        CancelOutcome::Unknown => Err("there is no such job".to_owned()),
        CancelOutcome::Refused(sqlstate) => {
            Err(format!("the database refuses to change its rows (SQLSTATE {sqlstate})"))
        }
    }
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = database::open(config).await?;
    let cancelled = database.cancel(&arguments.jobs).await.context("cancel the jobs")?;
    let mut refused = false;
    for one in &cancelled {
        match line(&one.done) {
            Ok(line) if !arguments.json => output::print(&format!("{}  {line}\n", one.named))?,
            Ok(_) => {}
            Err(reason) => {
                terminal::error(format_args!("{}: {reason}", one.named));
                refused = true;
            }
        }
    }
    if arguments.json {
        output::print_json(&cancelled.iter().map(CancelView::of).collect::<Vec<_>>())?;
    }
    Ok(ExitCode::from(u8::from(refused)))
}
