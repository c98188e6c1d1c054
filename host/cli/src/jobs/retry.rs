//! `assay jobs retry`: failed jobs get a new life.

mod told;

use std::{collections::HashSet, process::ExitCode};

use anyhow::{Context, anyhow};
use assay_core::{code::Code, env::Variables};
use assay_db::{
    Database, DatabaseConfig, DbError,
    failed::{FailedJob, FailedSelection},
    queue::RequeuePace,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    database,
    exit::Failure,
    ids::{self, Named},
    output::{self, bar},
    rate::Rate,
    since::Since,
};
use told::{Outcome, Refused, Tally};

/// Jobs of one statement.
const BATCH: usize = 500;

/// Give failed jobs a new life.
///
/// After a rejection, of the answers or of what the guest made of them, the new life begins afresh: the model is asked anew, on
/// what the job's channel runs now. After anything else it begins with the answers that the job has, on the release that asked for
/// them, so that nothing is bought twice. All attempts are there again. docs/errors.md says what each code means.
///
/// A job that waits, runs or succeeded is refused; it does not stop the others, and the exit code is 1 then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs retry 0c9d…
  assay jobs retry --code llm_timeout --since 24h --dry-run
  assay jobs retry --code llm_timeout --since 24h --rate 30/min
  assay jobs retry - < ids.txt")]
pub struct Arguments {
    /// Jobs, by their own ids or those of their files; - reads ids from standard input, one per line
    #[arg(value_name = "ID", required_unless_present_any = ["code", "since"], conflicts_with_all = ["code", "since"])]
    jobs: Vec<Named>,
    /// All jobs that failed with this code
    #[arg(long, value_name = "C", value_parser = code)]
    code: Option<String>,
    /// All jobs that failed since then: 2026-03-04T09:30:00Z, 2026-03-04 (UTC), or 24h or 7d before now
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Begin so many per s, min or h, evenly spaced; all at once where not given
    #[arg(long, value_name = "N/min")]
    rate: Option<Rate>,
    /// Tell how many jobs would begin how, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A code that jobs can fail with.
pub(super) fn code(text: &str) -> Result<String, String> {
    let known = Code::ALL.iter().find(|code| code.as_str() == text);
    known.map(|code| code.as_str().to_owned()).ok_or_else(|| "is no code; docs/errors.md lists them".to_owned())
}

/// The jobs that are meant.
enum Choice {
    /// These, each once.
    Named(Vec<Uuid>),
    /// All that are like this.
    Selected(FailedSelection),
}

/// Looks, retries, tells.
pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let named = ids::read(&arguments.jobs, std::io::stdin().lock())?;
    let database = database::open(config).await?;
    let began = database.clock().await.context("ask the database for its time")?;
    let choice = if arguments.jobs.is_empty() {
        let since = arguments.since.map(|since| since.instant(began));
        Choice::Selected(FailedSelection { code: arguments.code.clone(), since })
    } else {
        Choice::Named(named)
    };
    let retry = Retry { database, choice, began, gap: arguments.rate.map_or(0.0, |rate| rate.gap) };
    let mut outcome = Outcome { dry_run: arguments.dry_run, ..Outcome::default() };
    retry.walk(&mut outcome, !arguments.dry_run).await?;
    for refused in &outcome.refused {
        eprintln!("error: {}: {}", refused.id, refused.reason);
    }
    if arguments.json {
        output::print_json(&outcome)?;
    } else {
        output::print(&outcome.told())?;
    }
    Ok(ExitCode::from(u8::from(!outcome.refused.is_empty())))
}

/// A retry under way.
struct Retry {
    database: Database,
    choice: Choice,
    /// By the database's clock.
    began: OffsetDateTime,
    /// Seconds between two new lives.
    gap: f64,
}

impl Retry {
    /// Goes through the jobs, a batch after the other; each is retried as a whole where `change` says so.
    async fn walk(&self, outcome: &mut Outcome, change: bool) -> anyhow::Result<()> {
        let bar = bar("{spinner} {pos} jobs in {elapsed}", None);
        let mut tally = Tally::default();
        // A job may be named twice: by its own id and by its file's.
        let mut seen = HashSet::new();
        let mut place = Place::default();
        while let Some(looked) = self.next(&mut place).await? {
            let mut eligible = Vec::new();
            for found in looked {
                if found.job.is_some_and(|job| !seen.insert(job)) {
                    continue;
                }
                match (found.eligible, &self.choice) {
                    (true, _) => eligible.push(found),
                    (false, Choice::Named(_)) => outcome.refused.push(Refused::of(&found)),
                    (false, Choice::Selected(_)) => {}
                }
            }
            for batch in eligible.chunks(BATCH) {
                self.batch(batch, outcome, &mut tally, change).await?;
                bar.set_position(outcome.jobs);
            }
        }
        bar.finish_and_clear();
        outcome.groups = tally.groups();
        Ok(())
    }

    /// The next jobs to look at; none at the end.
    async fn next(&self, place: &mut Place) -> anyhow::Result<Option<Vec<FailedJob>>> {
        let found = match &self.choice {
            Choice::Named(ids) => {
                let batch = &ids[place.named..ids.len().min(place.named + BATCH)];
                place.named += batch.len();
                self.database.failed_jobs(batch, self.began).await
            }
            Choice::Selected(selection) => self.database.select_failed(selection, self.began, place.after).await,
        };
        let found = found.context("look for the jobs")?;
        place.after = found.last().map_or(place.after, |last| last.named);
        Ok(Some(found).filter(|found| !found.is_empty()))
    }

    /// Retries some jobs, or only counts them.
    async fn batch(
        &self,
        batch: &[FailedJob],
        outcome: &mut Outcome,
        tally: &mut Tally,
        change: bool,
    ) -> anyhow::Result<()> {
        if !change {
            outcome.jobs += batch.len() as u64;
            batch.iter().for_each(|found| tally.add(found));
            let before = outcome.jobs.saturating_sub(1) as f64;
            outcome.last_begins_at = Some(self.began + time::Duration::seconds_f64(self.gap * before));
            return Ok(());
        }
        let jobs: Vec<Uuid> = batch.iter().filter_map(|found| found.job).collect();
        let pace = RequeuePace { began: self.began, gap: self.gap, before: outcome.jobs };
        let retried =
            self.database.requeue_failed(&jobs, &pace).await.map_err(|error| interrupted(error, outcome.jobs))?;
        let done: HashSet<Uuid> = retried.iter().map(|one| one.job).collect();
        for found in batch {
            match (found.job.is_some_and(|job| done.contains(&job)), &self.choice) {
                (true, _) => tally.add(found),
                (false, Choice::Named(_)) => outcome.refused.push(Refused::overtaken(found)),
                (false, Choice::Selected(_)) => outcome.changed_meanwhile += 1,
            }
        }
        outcome.jobs += done.len() as u64;
        outcome.last_begins_at = retried.iter().map(|one| one.begins_at).chain(outcome.last_begins_at).max();
        Ok(())
    }
}

/// How far the walk has come.
#[derive(Default)]
struct Place {
    /// Named jobs that were looked at.
    named: usize,
    /// The last selected job that was looked at.
    after: Uuid,
}

/// What is known when the database fails on the way.
fn interrupted(error: DbError, retried: u64) -> anyhow::Error {
    let batch =
        if error.is_ambiguous() { "whether those of this step did is not known" } else { "those of this step did not" };
    anyhow!(error).context(format!(
        "{retried} jobs got a new life, and {batch}; run it again, what waits or runs already is left as it is"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_of_those_that_jobs_can_fail_with() {
        assert_eq!(code("llm_timeout").unwrap(), "llm_timeout");
        assert!(code("llm_timeouts").unwrap_err().contains("docs/errors.md"));
    }
}
