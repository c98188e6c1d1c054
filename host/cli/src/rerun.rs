//! `assay rerun`: files that succeeded get a new life on what their channel runs now.

mod choice;
mod told;

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use assay_core::{env::Variables, ids::FileId};
use assay_db::{
    Database, DatabaseConfig, DbError,
    queue::{RequeuePace, RequeuedFile},
    succeeded::SucceededSelection,
};
use time::OffsetDateTime;

use super::{
    database,
    exit::Failure,
    ids::{self, Named},
    output::{self, bar},
    rate::Rate,
    since::Since,
};
use choice::Choice;
use told::{Fleet, Outcome, Refused, Tally};

/// Give files that succeeded a new life, on what their channel runs now.
///
/// The new life names no prompt version, whatever the file was submitted with: it runs on the active release or the canary of
/// the file's channel, or where the channel has none, on the default of the workers. The model is asked anew. The old report
/// stays the file's until the new one is final, and its key stays in the history that `assay status FILE-ID --json` shows;
/// where the new life fails, the file has failed and keeps the old report. A file that waits, runs or failed is refused; it does not stop the others, and
/// the exit code is 1 then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay rerun 0c9d…                                            one file
  assay rerun --prompt-version minutes-v1 --dry-run            how many would run on what
  assay rerun --prompt-version minutes-v1 --since 7d --rate 30/min
  assay rerun - --priority 0 < ids.txt                         no later than new files")]
pub struct Arguments {
    /// Files, as `assay submit` printed them; - reads ids from standard input, one per line
    #[arg(
        value_name = "FILE-ID",
        required_unless_present_any = ["prompt_version", "since"],
        conflicts_with_all = ["prompt_version", "since"]
    )]
    files: Vec<Named>,
    /// All files whose report this prompt version made
    #[arg(long, value_name = "V")]
    prompt_version: Option<String>,
    /// All files whose report was made since then: 2026-03-04T09:30:00Z, 2026-03-04 (UTC), or 24h or 7d before now
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Begin so many per s, min or h, evenly spaced; all at once where not given
    #[arg(long, value_name = "N/min")]
    rate: Option<Rate>,
    /// Jobs of a greater priority go first; those of new files have 0
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    priority: i32,
    /// Tell how many files would run on what, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Looks, renews, tells.
pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let named = ids::read(&arguments.files, std::io::stdin().lock())?;
    let database = database::open(config).await?;
    let began = database.clock().await.context("ask the database for its time")?;
    let choice = if arguments.files.is_empty() {
        let since = arguments.since.map(|since| since.instant(began));
        Choice::Selected(SucceededSelection { prompt_version: arguments.prompt_version.clone(), since })
    } else {
        Choice::Files(named.into_iter().map(FileId).collect())
    };
    let mut rerun = Rerun { database, choice, began, gap: arguments.rate.map_or(0.0, |rate| rate.gap) };

    let mut outcome = Outcome { dry_run: arguments.dry_run, ..Outcome::default() };
    rerun.look(&mut outcome).await?;
    warn(&outcome);
    if !arguments.dry_run {
        rerun.renew(&mut outcome, arguments.priority).await?;
    }
    for refused in &outcome.refused {
        eprintln!("error: {}: {}", refused.file_id, refused.reason);
    }
    if arguments.json {
        output::print_json(&outcome)?;
    } else {
        output::print(&outcome.told())?;
    }
    Ok(ExitCode::from(u8::from(!outcome.refused.is_empty())))
}

/// Where jobs would wait, before they do.
fn warn(outcome: &Outcome) {
    let mut waiting: Vec<_> = outcome.groups.iter().filter(|group| group.runs_on.is_none()).collect();
    waiting.dedup_by_key(|group| &group.channel);
    for group in waiting {
        eprintln!(
            "warning: channel {} runs nothing: it has no active release, and no worker that was heard of within the last minute has a \
             default; its jobs wait until one has, or `assay release activate` names a release",
            output::plain(&group.channel)
        );
    }
}

/// A rerun under way.
struct Rerun {
    database: Database,
    choice: Choice,
    /// By the database's clock.
    began: OffsetDateTime,
    /// Seconds between two new lives.
    gap: f64,
}

impl Rerun {
    /// Counts what can be rerun, and tells what cannot; that is not looked at again.
    async fn look(&mut self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let bar = bar("{spinner} {pos} files found in {elapsed}", None);
        let mut tally = Tally::default();
        let mut eligible = Vec::new();
        let by_name = matches!(self.choice, Choice::Files(_));
        let mut walk = self.choice.walk(self.began);
        loop {
            let files = walk.next(&self.database).await?;
            if files.is_empty() {
                break;
            }
            for candidate in &files {
                if candidate.eligible {
                    tally.add(candidate);
                    eligible.extend(by_name.then_some(FileId(candidate.file)));
                } else {
                    outcome.refused.push(Refused::of(candidate));
                }
            }
            bar.set_position(tally.files());
        }
        bar.finish_and_clear();
        if by_name {
            self.choice = Choice::Files(eligible);
        }
        let fleet = Fleet {
            channels: self.database.channels().await.context("look at the channels")?,
            releases: self.database.releases().await.context("list the releases")?,
            workers: self.database.live_workers().await.context("look at the workers")?,
        };
        outcome.files = tally.files();
        outcome.last_begins_at = outcome.files.checked_sub(1).map(|before| self.began + self.after(before));
        outcome.groups = tally.groups(&fleet);
        Ok(())
    }

    /// When the life begins that follows `before` others, counted from the beginning.
    fn after(&self, before: u64) -> time::Duration {
        time::Duration::seconds_f64(self.gap * before as f64)
    }

    /// Renews what can be, one batch after the other; a batch is renewed as a whole.
    async fn renew(&self, outcome: &mut Outcome, priority: i32) -> anyhow::Result<()> {
        let bar = bar("{spinner} {bar:40} {pos}/{len} renewed in {elapsed}", Some(outcome.files));
        (outcome.files, outcome.last_begins_at) = (0, None);
        let mut walk = self.choice.walk(self.began);
        loop {
            let files = walk.next(&self.database).await?;
            if files.is_empty() {
                break;
            }
            let batch: Vec<_> = files.iter().map(|candidate| FileId(candidate.file)).collect();
            let pace = RequeuePace { began: self.began, gap: self.gap, before: outcome.files };
            let renewed = self
                .database
                .requeue_succeeded(&batch, &pace, priority)
                .await
                .map_err(|error| interrupted(error, outcome.files))?;
            self.left(&batch, &renewed, outcome).await?;
            outcome.files += renewed.len() as u64;
            outcome.last_begins_at = renewed.iter().map(|one| one.begins_at).chain(outcome.last_begins_at).max();
            bar.set_position(outcome.files);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Files that somebody else was faster with.
    async fn left(&self, batch: &[FileId], renewed: &[RequeuedFile], outcome: &mut Outcome) -> anyhow::Result<()> {
        let done: std::collections::HashSet<_> = renewed.iter().map(|one| one.file).collect();
        let left: Vec<_> = batch.iter().filter(|file| !done.contains(&file.0)).copied().collect();
        match self.choice {
            Choice::Selected(_) => outcome.changed_meanwhile += left.len() as u64,
            Choice::Files(_) if left.is_empty() => {}
            Choice::Files(_) => {
                let left =
                    self.database.succeeded_files(&left, self.began).await.context("look at the files that stay")?;
                outcome.refused.extend(left.iter().map(Refused::of));
            }
        }
        Ok(())
    }
}

/// What is known when the database fails on the way.
fn interrupted(error: DbError, renewed: u64) -> anyhow::Error {
    let batch =
        if error.is_ambiguous() { "whether those of this step did is not known" } else { "those of this step did not" };
    anyhow!(error).context(format!(
        "{renewed} files got a new life, and {batch}; run it again, what waits or runs already is left as it is"
    ))
}
