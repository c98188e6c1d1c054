//! `assay jobs …`: what operators do to single jobs.

mod cancel;
mod list;
mod retry;
mod show;

use std::process::ExitCode;

use assay_core::env::Variables;
use assay_db::jobs::JobRow;

use super::exit::Failure;

/// Look at jobs, end them, and give those that failed a new life.
///
/// A job is named by its own id or by the id of its file; `assay jobs show` tells both.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs list --status failed --since 24h
  assay jobs show 0c9d…
  assay jobs cancel 0c9d…
  assay jobs retry 0c9d…
  assay jobs retry --code llm_timeout --since 24h --rate 30/min")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Each is explained where its arguments are.
#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Arguments),
    Show(show::Arguments),
    Cancel(cancel::Arguments),
    Retry(retry::Arguments),
}

/// Runs one of them.
pub async fn run(arguments: Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::List(arguments) => list::run(arguments, vars).await,
        Command::Show(arguments) => show::run(arguments, vars).await,
        Command::Cancel(arguments) => cancel::run(arguments, vars).await,
        Command::Retry(arguments) => retry::run(arguments, vars).await,
    }
}

/// Its status, and whether it is to end soon.
fn status(job: &JobRow) -> String {
    let ends = job.cancel_requested && job.status == "processing";
    if ends { format!("{}, to be cancelled", job.status) } else { job.status.clone() }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::uuid;

    use super::*;

    /// A job whose first attempt had no answer of the model.
    pub(super) fn job(status: &str) -> JobRow {
        JobRow {
            job_id: uuid!("0198c0de-0000-7000-8000-000000000003"),
            file_id: uuid!("0198c0de-0000-7000-8000-000000000002"),
            status: status.to_owned(),
            cancel_requested: false,
            channel: "default".to_owned(),
            priority: 0,
            life: 1,
            attempts: 1,
            max_attempts: 4,
            snoozes: 0,
            next_run_at: datetime!(2026-03-04 09:30:31 UTC),
            locked_by: (status == "processing").then(|| "host-7-af".to_owned()),
            code: Some("llm_timeout".to_owned()),
            step: Some("call_model".to_owned()),
            updated_at: datetime!(2026-03-04 09:30:04 UTC),
        }
    }
}
