//! `assay rerun`: the hidden alias of `assay requeue --succeeded`, with its own JSON document.

use std::process::ExitCode;

use assay_core::env::Variables;
use assay_db::{DatabaseConfig, succeeded::SucceededSelection};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    exit::Failure,
    ids::{self, Named},
    output,
    requeue::{
        choice::Choice,
        options::Options,
        outcome::{RequeueOutcome, SucceededGroup},
        render::{self, Unit},
        session::Session,
        succeeded,
    },
    since::Since,
};

/// Old name of `assay requeue --succeeded`, for files by id and for selections.
///
/// A file that has not succeeded is refused. The others go on, and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay rerun 0c9d…                                            one file
  assay rerun --prompt-version minutes-v1 --dry-run
  assay rerun --prompt-version minutes-v1 --since 7d --rate 30/min
  assay rerun - --priority 0 < ids.txt")]
pub struct Arguments {
    /// Ids of files; - reads ids from standard input, one per line
    #[arg(
        value_name = "FILE-ID",
        required_unless_present_any = ["prompt_version", "since"],
        conflicts_with_all = ["prompt_version", "since"]
    )]
    files: Vec<Named>,
    /// All files with a report of this prompt version
    #[arg(long, value_name = "V")]
    prompt_version: Option<String>,
    /// All files with a report made since then: 2026-03-04T09:30:00Z, 2026-03-04 (UTC), or 24h or 7d before now
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Priority of the jobs; higher runs first, new files have 0
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    priority: i32,
    #[command(flatten)]
    options: Options,
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let ids = ids::read(&arguments.files, std::io::stdin().lock())?;
    let session = Session::open(config, &arguments.options).await?;
    let choice = if arguments.files.is_empty() {
        let since = arguments.since.map(|since| since.instant(session.began));
        Choice::Selected(SucceededSelection { prompt_version: arguments.prompt_version, since })
    } else {
        Choice::Named(ids)
    };
    let mut outcome = session.outcome();
    succeeded::requeue(&session, choice, arguments.priority, &mut outcome).await?;
    outcome.report_refused();
    if arguments.options.json {
        output::print_json(&Document::of(&outcome))?;
    } else {
        output::print(&render::text(&outcome, Unit::Files))?;
    }
    Ok(outcome.exit_code())
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    dry_run: bool,
    files: u64,
    #[serde(with = "time::serde::rfc3339::option")]
    last_begins_at: Option<OffsetDateTime>,
    groups: &'a [SucceededGroup],
    refused: Vec<RefusedFile<'a>>,
    changed_meanwhile: u64,
}

#[derive(Debug, Serialize)]
struct RefusedFile<'a> {
    file_id: Uuid,
    reason: &'a str,
}

impl<'a> Document<'a> {
    fn of(outcome: &'a RequeueOutcome) -> Self {
        let refused = outcome.refused.iter().map(|one| RefusedFile { file_id: one.id, reason: &one.reason });
        Self {
            dry_run: outcome.dry_run,
            files: outcome.jobs,
            last_begins_at: outcome.last_begins_at,
            groups: &outcome.succeeded,
            refused: refused.collect(),
            changed_meanwhile: outcome.changed_meanwhile,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requeue::outcome::Refused;

    #[test]
    fn the_document_keeps_its_fields_and_their_order() {
        let group = SucceededGroup {
            prompt_version: Some("minutes-v1".to_owned()),
            channel: "default".to_owned(),
            files: 2,
            runs_on: None,
        };
        let outcome = RequeueOutcome {
            jobs: 2,
            last_begins_at: Some(OffsetDateTime::UNIX_EPOCH),
            succeeded: vec![group],
            refused: vec![Refused::new(Uuid::nil(), "it is running")],
            ..RequeueOutcome::default()
        };
        insta::assert_snapshot!(serde_json::to_string(&Document::of(&outcome)).unwrap(), @r#"{"dry_run":false,"files":2,"last_begins_at":"1970-01-01T00:00:00Z","groups":[{"prompt_version":"minutes-v1","channel":"default","files":2,"runs_on":null}],"refused":[{"file_id":"00000000-0000-0000-0000-000000000000","reason":"it is running"}],"changed_meanwhile":0}"#);
    }
}
