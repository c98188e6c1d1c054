//! `assay replay`: runs stored answers through a guest.

mod context;
mod guest_loader;
mod render;

use std::{collections::BTreeMap, future::Future, path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use anyhow::{Context, anyhow};
use assay_core::report_diff::Difference;
use assay_db::replay::ReplaySelection;
use assay_worker::replay::{
    CaseReader, CostEstimate, Engine, LiveOptions, LiveSummary, RESULTS, RESULTS_FORMAT, Replay, ReplayHeader,
    ResultCounts, Results, write_page,
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    exit::Failure,
    output,
    replay::{
        context::ReplayContext,
        guest_loader::{Candidate, GuestLoader},
        render::Summary,
    },
    since::Since,
    terminal,
};

/// Run stored answers through a guest, and show what it would change.
///
/// It compares every finished job whose answers are stored. The result is the same report, a changed report, a new report, a
/// lost report, or another question. It writes only the folder of the results. That folder holds content of documents: protect
/// it. The same command again continues where the last one ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay replay --guest minutes-v3 --since 7d
  assay replay --guest ./minutes-v3 --limit 500 --out before-i-publish
  assay replay --guest minutes-v3 --against minutes-v2
  assay replay --guest minutes-v3 --limit 50 --live --budget-tokens 200000
  assay replay --guest minutes-v3 --since 24h --json | jq .results
  assay replay --guest minutes-v3 --limit 100 --fail-on newly_rejected,fault")]
pub struct Arguments {
    /// Guest: a folder, a component, or a release
    #[arg(long, value_name = "DIR|FILE|VERSION")]
    guest: String,
    /// Compare with this release on the same answers [default: with the stored reports]
    #[arg(long, value_name = "VERSION")]
    against: Option<String>,
    /// Only jobs that ended since then: 2026-03-04T09:30:00Z, 2026-03-04 (UTC), or 24h or 7d before now
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Only jobs of this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// At most so many jobs, the newest first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Ask the model of LLM_BASE_URL and LLM_MODEL if the guest asks a question that has no stored answer
    #[arg(long, requires = "budget_tokens")]
    live: bool,
    /// Limit of tokens for --live, questions and answers together; earlier runs into the same folder count
    #[arg(long, value_name = "N", requires = "live")]
    budget_tokens: Option<u64>,
    /// Folder of the results [default: replay-VERSION-DIGEST]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Exit with 1 if a file has one of these results
    #[arg(long, value_name = "RESULT,...", value_delimiter = ',', value_parser = RESULTS)]
    fail_on: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let (context, live) = ReplayContext::open(&values, arguments.budget_tokens).await?;
    let loader = GuestLoader::open(&context).await?;
    let candidate = loader.guest(&arguments.guest, values).await?;
    let against = match &arguments.against {
        Some(version) => Some(loader.published(version).await?),
        None => None,
    };
    let selection = selection(&context, &arguments).await?;
    let header = header(&candidate, against.as_ref(), &selection)?;
    let folder = arguments.out.clone().unwrap_or_else(|| folder(&candidate, against.as_ref()));
    let mut results = Results::open(&folder, &header, &candidate.release)?;
    let before = results.counts().files();
    let replay = replay_of(&context, &loader, &candidate, against.as_ref(), selection);
    let jobs = context.database.replay_count(&replay.selection).await.context("count the finished jobs")?;

    let ran = unless_interrupted(run_all(&replay, &mut results, live.as_ref(), jobs)).await;
    // Also after an interruption, so that the results so far can be read.
    let page = write_page(&header, &results);
    let spent = ran.with_context(|| stopped(&folder))?;
    page?;

    let mut summary = Summary::new(&candidate, against.as_ref(), &results, before, started.elapsed());
    summary.jobs = jobs;
    summary.live = spent;
    if arguments.json {
        output::print_json(&summary)?;
    } else {
        output::print(&render::text(&summary))?;
    }
    let fails = arguments.fail_on.iter().any(|result| results.counts().of(result).files > 0);
    Ok(ExitCode::from(u8::from(fails)))
}

/// Runs all jobs on stored answers, then those that need new answers if the model may be asked. Shows progress.
async fn run_all(
    replay: &Replay,
    results: &mut Results,
    live: Option<&LiveOptions>,
    jobs: u64,
) -> anyhow::Result<Option<LiveSummary>> {
    let before = results.counts().files();
    let bar = ClearedBar(bar(jobs.max(before), before));
    let bar = &bar.0;
    let meant = replay.run(results, |tally| advance(bar, tally.files(), tally)).await?;
    let Some(live) = live else { return Ok(None) };
    let price = CostEstimate::of(results, &meant);
    let others = results.diverged().len() as u64 - price.files;
    bar.suspend(|| terminal::note(render::price(price, live.budget)));
    bar.set_length(price.files);
    let left = |tally: &ResultCounts| tally.of(Difference::Diverged.as_str()).files.saturating_sub(others);
    let asked = |tally: &ResultCounts| price.files.saturating_sub(left(tally));
    replay.ask(live, results, |tally| advance(bar, asked(tally), tally)).await.map(Some)
}

/// Clears the bar also if the run is interrupted.
struct ClearedBar(ProgressBar);

impl Drop for ClearedBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn selection(context: &ReplayContext, arguments: &Arguments) -> anyhow::Result<ReplaySelection> {
    let since = match &arguments.since {
        None => None,
        Some(since) => Some(since.instant(context.database.clock().await.context("read the database's clock")?)),
    };
    Ok(ReplaySelection { since, channel: arguments.channel.clone(), limit: arguments.limit })
}

fn replay_of(
    context: &ReplayContext,
    loader: &GuestLoader<'_>,
    candidate: &Candidate,
    against: Option<&Candidate>,
    selection: ReplaySelection,
) -> Replay {
    let engine = Engine {
        candidate: candidate.release.clone(),
        against: against.map(|against| against.release.clone()),
        limits: Arc::new(context.guests.limits.clone()),
        at_once: 2 * loader.threads(),
    };
    let (database, objects) = (context.database.clone(), context.objects.clone());
    let candidate = candidate.release.clone();
    let cases = CaseReader::new(database, objects, candidate, loader.runtime().clone(), context.transcript_bytes);
    Replay { engine, cases, selection }
}

fn header(
    candidate: &Candidate,
    against: Option<&Candidate>,
    selection: &ReplaySelection,
) -> anyhow::Result<ReplayHeader> {
    Ok(ReplayHeader {
        replay: RESULTS_FORMAT,
        guest: candidate.release.digest().to_owned(),
        prompt_version: candidate.release.manifest().prompt_version.clone(),
        against: against.map(|against| against.release.digest().to_owned()),
        selection: serde_json::to_value(selection).context("write the selection")?,
    })
}

/// Returns a folder name of its own for each comparison.
fn folder(candidate: &Candidate, against: Option<&Candidate>) -> PathBuf {
    let name = |of: &Candidate| {
        let digest = of.release.digest();
        format!("{}-{}", of.release.manifest().prompt_version, digest.get(..8).unwrap_or(digest))
    };
    let beside = against.map(|against| format!("-against-{}", name(against))).unwrap_or_default();
    PathBuf::from(format!("replay-{}{beside}", name(candidate)))
}

/// Runs to the end, or to the first signal.
async fn unless_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        done = work => done,
        _ = int.recv() => Err(anyhow!("interrupted")),
        _ = term.recv() => Err(anyhow!("interrupted")),
    }
}

fn stopped(folder: &std::path::Path) -> String {
    format!("stopped; the results in {} stay, and the same command continues after them", folder.display())
}

/// Draws only on a terminal.
fn bar(files: u64, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} files, {per_sec}, {eta} left: {msg}")
        .expect("a constant template parses");
    let bar = ProgressBar::new(files).with_style(style).with_position(done);
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

fn advance(bar: &ProgressBar, files: u64, tally: &ResultCounts) {
    if bar.is_hidden() {
        return;
    }
    bar.set_position(files);
    let counts = tally.present().map(|(result, count)| format!("{} {}", count.files, result.replace('_', " ")));
    bar.set_message(counts.collect::<Vec<_>>().join(", "));
}
