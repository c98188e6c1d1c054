//! `assay requeue`: starts ended jobs again. `assay rerun` and `assay jobs retry` are built on the same parts.

mod by_state;
pub mod choice;
pub mod failed;
mod fleet;
pub mod options;
pub mod outcome;
pub mod render;
pub mod session;
pub mod succeeded;

use std::process::ExitCode;

use assay_core::env::Variables;
use assay_db::{DatabaseConfig, failed::FailedSelection, succeeded::SucceededSelection};
use uuid::Uuid;

use crate::{
    exit::Failure,
    ids::{self, Named},
    job_code, output,
    requeue::{choice::Choice, options::Options, outcome::RequeueOutcome, render::Unit, session::Session},
    since::Since,
};

/// Run ended jobs again, with all their attempts.
///
/// Jobs that failed: after a rejection (of the answers, or by the guest), a job starts without answers, on the release that its
/// channel runs now. After any other error, it keeps its answers and its release, so no answer is bought twice.
/// docs/errors.md explains each code.
///
/// Files that succeeded: they run on the release that their channel runs now, or on the default of the workers. The model is
/// asked again. A file keeps its old report until the new one is final, and also if the new run fails.
///
/// With IDs, the state of each job decides: a failed job is requeued as with --failed, a file that succeeded as with
/// --succeeded. A job that is queued or running is refused. The others go on, and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay requeue 0c9d… 51c2…                                    failed or succeeded, by id
  assay requeue --failed --code llm_timeout --since 24h --dry-run
  assay requeue --failed --code llm_timeout --since 24h --rate 30/min
  assay requeue --succeeded --prompt-version minutes-v1 --dry-run
  assay requeue - --priority 0 < ids.txt                       not after new files")]
pub struct Arguments {
    /// Ids of jobs or files; - reads ids from standard input, one per line
    #[arg(
        value_name = "ID",
        required_unless_present_any = ["failed", "succeeded"],
        conflicts_with_all = ["failed", "succeeded", "code", "prompt_version", "since"]
    )]
    ids: Vec<Named>,
    /// All jobs that failed
    #[arg(long, group = "selection")]
    failed: bool,
    /// Only jobs that failed with this code
    #[arg(long, value_name = "C", requires = "failed", conflicts_with = "succeeded", value_parser = job_code::parse)]
    code: Option<String>,
    /// All files that succeeded
    #[arg(long, group = "selection")]
    succeeded: bool,
    /// Only files with a report of this prompt version
    #[arg(long, value_name = "V", requires = "succeeded", conflicts_with = "failed")]
    prompt_version: Option<String>,
    /// Only jobs that ended since then: 2026-03-04T09:30:00Z, 2026-03-04 (UTC), or 24h or 7d before now
    #[arg(long, value_name = "T", requires = "selection")]
    since: Option<Since>,
    /// Priority of files that succeeded; higher runs first, new files have 0. A failed job keeps its priority
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, conflicts_with = "failed")]
    priority: i32,
    #[command(flatten)]
    options: Options,
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let ids = ids::read(&arguments.ids, std::io::stdin().lock())?;
    let session = Session::open(config, &arguments.options).await?;
    let outcome = requeue(&session, &arguments, &ids).await?;
    outcome.report_refused();
    if arguments.options.json {
        output::print_json(&outcome)?;
    } else {
        let unit = if arguments.succeeded { Unit::Files } else { Unit::Jobs };
        output::print(&render::text(&outcome, unit))?;
    }
    Ok(outcome.exit_code())
}

async fn requeue(session: &Session, arguments: &Arguments, ids: &[Uuid]) -> anyhow::Result<RequeueOutcome> {
    let mut outcome = session.outcome();
    let since = arguments.since.map(|since| since.instant(session.began));
    if arguments.failed {
        let choice = Choice::Selected(FailedSelection { code: arguments.code.clone(), since });
        failed::requeue(session, choice, &mut outcome).await?;
    } else if arguments.succeeded {
        let choice = Choice::Selected(SucceededSelection { prompt_version: arguments.prompt_version.clone(), since });
        succeeded::requeue(session, choice, arguments.priority, &mut outcome).await?;
    } else {
        let ids = by_state::split(session, ids, &mut outcome).await?;
        failed::requeue(session, Choice::Named(ids.failed), &mut outcome).await?;
        if !ids.succeeded.is_empty() {
            succeeded::requeue(session, Choice::Named(ids.succeeded), arguments.priority, &mut outcome).await?;
        }
    }
    Ok(outcome)
}
