//! `assay jobs retry`: the hidden alias of `assay requeue --failed`, with its own JSON document.

use std::process::ExitCode;

use assay_core::env::Variables;
use assay_db::{DatabaseConfig, failed::FailedSelection};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    exit::Failure,
    ids::{self, Named},
    job_code, output,
    requeue::{
        choice::Choice,
        failed,
        options::Options,
        outcome::{FailedGroup, Refused, RequeueOutcome},
        render::{self, Unit},
        session::Session,
    },
    since::Since,
};

/// Old name of `assay requeue --failed`, for jobs by id and for selections.
///
/// A job that has not failed is refused. The others go on, and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs retry 0c9d…
  assay jobs retry --code llm_timeout --since 24h --dry-run
  assay jobs retry --code llm_timeout --since 24h --rate 30/min
  assay jobs retry - < ids.txt")]
pub struct Arguments {
    /// Ids of jobs or files; - reads ids from standard input, one per line
    #[arg(value_name = "ID", required_unless_present_any = ["code", "since"], conflicts_with_all = ["code", "since"])]
    jobs: Vec<Named>,
    /// All jobs that failed with this code
    #[arg(long, value_name = "C", value_parser = job_code::parse)]
    code: Option<String>,
    /// All jobs that failed since then: 2026-03-04T09:30:00Z, 2026-03-04 (UTC), or 24h or 7d before now
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    #[command(flatten)]
    options: Options,
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let ids = ids::read(&arguments.jobs, std::io::stdin().lock())?;
    let session = Session::open(config, &arguments.options).await?;
    let choice = if arguments.jobs.is_empty() {
        let since = arguments.since.map(|since| since.instant(session.began));
        Choice::Selected(FailedSelection { code: arguments.code, since })
    } else {
        Choice::Named(ids)
    };
    let mut outcome = session.outcome();
    failed::requeue(&session, choice, &mut outcome).await?;
    outcome.report_refused();
    if arguments.options.json {
        output::print_json(&Document::of(&outcome))?;
    } else {
        output::print(&render::text(&outcome, Unit::Jobs))?;
    }
    Ok(outcome.exit_code())
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    dry_run: bool,
    jobs: u64,
    #[serde(with = "time::serde::rfc3339::option")]
    last_begins_at: Option<OffsetDateTime>,
    groups: &'a [FailedGroup],
    refused: &'a [Refused],
    changed_meanwhile: u64,
}

impl<'a> Document<'a> {
    fn of(outcome: &'a RequeueOutcome) -> Self {
        Self {
            dry_run: outcome.dry_run,
            jobs: outcome.jobs,
            last_begins_at: outcome.last_begins_at,
            groups: &outcome.failed,
            refused: &outcome.refused,
            changed_meanwhile: outcome.changed_meanwhile,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_document_keeps_its_fields_and_their_order() {
        let group =
            FailedGroup { code: "llm_timeout".to_owned(), channel: "default".to_owned(), jobs: 2, afresh: false };
        let outcome = RequeueOutcome {
            jobs: 2,
            last_begins_at: Some(OffsetDateTime::UNIX_EPOCH),
            failed: vec![group],
            refused: vec![Refused::new(Uuid::nil(), "it is running")],
            ..RequeueOutcome::default()
        };
        insta::assert_snapshot!(serde_json::to_string(&Document::of(&outcome)).unwrap(), @r#"{"dry_run":false,"jobs":2,"last_begins_at":"1970-01-01T00:00:00Z","groups":[{"code":"llm_timeout","channel":"default","jobs":2,"afresh":false}],"refused":[{"id":"00000000-0000-0000-0000-000000000000","reason":"it is running"}],"changed_meanwhile":0}"#);
    }
}
