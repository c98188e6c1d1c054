//! `assay replay`: what would a guest make of the answers that are stored?

mod candidate;
mod told;

use std::{collections::BTreeMap, future::Future, path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use anyhow::{Context, anyhow};
use assay_core::{env::Variables, report_diff::Difference};
use assay_db::{Database, DatabaseConfig, replay::ReplaySelection};
use assay_llm::{LlmConfig, Model};
use assay_objects::{Objects, ObjectsConfig};
use assay_worker::{
    guests::GuestsConfig,
    pipeline::PipelineConfig,
    replay::{
        CaseReader, CostEstimate, Engine, LiveOptions, RESULTS, RESULTS_FORMAT, Replay, ReplayHeader, ResultCounts,
        Results, write_page,
    },
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    candidate::{Candidate, Shop},
    told::Summary,
};
use super::{database, exit::Failure, output, since::Since};

/// Run stored answers through a guest, and tell what it would change.
///
/// For every finished job whose answers are kept: the same report, another one (and where), one where there was none, none where
/// there was one, or other questions. Nothing is written but the folder of the results, which is for your eyes only: it holds
/// content of documents. The same command again goes on where the last one ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay replay --guest minutes-v3 --since 7d
  assay replay --guest ./minutes-v3 --limit 500 --out before-i-publish
  assay replay --guest minutes-v3 --against minutes-v2
  assay replay --guest minutes-v3 --limit 50 --live --budget-tokens 200000
  assay replay --guest minutes-v3 --since 24h --json | jq .results
  assay replay --guest minutes-v3 --limit 100 --fail-on newly_rejected,fault")]
pub struct Arguments {
    /// The guest: its folder, a component, or a release
    #[arg(long, value_name = "DIR|FILE|VERSION")]
    guest: String,
    /// Compare with what this release makes of the same answers [default: with what is stored]
    #[arg(long, value_name = "VERSION")]
    against: Option<String>,
    /// Only jobs that ended since then: 2026-03-04T09:30:00Z, 2026-03-04 (UTC), or 24h or 7d before now
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Only jobs of this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// At most so many jobs, the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Ask the model of LLM_BASE_URL and LLM_MODEL afresh, where the guest asks what nobody has answered
    #[arg(long, requires = "budget_tokens")]
    live: bool,
    /// How much that may take, in tokens of questions and answers; earlier runs into the same folder count
    #[arg(long, value_name = "N", requires = "live")]
    budget_tokens: Option<u64>,
    /// The folder of the results [default: replay-VERSION-DIGEST]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Exit with 1 where a file has one of these results
    #[arg(long, value_name = "RESULT,...", value_delimiter = ',', value_parser = RESULTS)]
    fail_on: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Everything that the command needs from outside.
struct Desk {
    database: Database,
    objects: Objects,
    guests: GuestsConfig,
    transcript_bytes: usize,
}

/// Opens everything, runs, tells.
pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let mut vars = Variables::from_map(values.clone());
    let (database, objects) = (DatabaseConfig::load(&mut vars), ObjectsConfig::load(&mut vars));
    let guests = GuestsConfig::load_sandbox(&mut vars);
    let transcript_bytes = PipelineConfig::load(&mut vars).transcript_bytes;
    let model = arguments.budget_tokens.map(|budget| (LlmConfig::load(&mut vars), budget));
    vars.finish()?;
    let live = match model {
        Some((config, budget)) => Some(LiveOptions { model: Model::new(config)?, budget }),
        None => None,
    };
    let database = database::open(database).await?;
    let desk = Desk { database, objects: Objects::new(&objects), guests, transcript_bytes };

    let shop = Shop::open(&desk).await?;
    let candidate = shop.guest(&arguments.guest, values).await?;
    let against = match &arguments.against {
        Some(version) => Some(shop.published(version).await?),
        None => None,
    };
    let selection = desk.selection(&arguments).await?;
    let header = header(&candidate, against.as_ref(), &selection)?;
    let folder = arguments.out.clone().unwrap_or_else(|| folder(&candidate, against.as_ref()));
    let mut results = Results::open(&folder, &header, &candidate.release)?;
    let before = results.counts().files();
    let replay = desk.replay(&shop, &candidate, against.as_ref(), selection);

    let count = desk.database.replay_count(&replay.selection).await.context("count the finished jobs")?;
    let bar = bar(count.max(before), before);
    let work = async {
        let meant = replay.run(&mut results, |tally| advance(&bar, tally.files(), tally)).await?;
        let Some(live) = &live else { return Ok(None) };
        let price = CostEstimate::of(&results, &meant);
        let others = results.diverged().len() as u64 - price.files;
        bar.suspend(|| eprintln!("{}", told::price(price, live.budget)));
        bar.set_length(price.files);
        let left = |tally: &ResultCounts| tally.of(Difference::Diverged.as_str()).files.saturating_sub(others);
        let asked = |tally: &ResultCounts| price.files.saturating_sub(left(tally));
        replay.ask(live, &mut results, |tally| advance(&bar, asked(tally), tally)).await.map(Some)
    };
    let ran = unless_interrupted(work).await;
    bar.finish_and_clear();
    // Also of a part: what is there can be read.
    let page = write_page(&header, &results);
    let spent = ran.with_context(|| stopped(&folder))?;
    page?;

    let mut summary = Summary::new(&candidate, against.as_ref(), &results, before, started.elapsed());
    summary.jobs = count;
    summary.live = spent;
    if arguments.json {
        output::print_json(&summary)?;
    } else {
        output::print(&told::text(&summary))?;
    }
    let fails = arguments.fail_on.iter().any(|result| results.counts().of(result).files > 0);
    Ok(ExitCode::from(u8::from(fails)))
}

impl Desk {
    async fn selection(&self, arguments: &Arguments) -> anyhow::Result<ReplaySelection> {
        let since = match &arguments.since {
            None => None,
            Some(since) => Some(since.instant(self.database.clock().await.context("ask the database for its time")?)),
        };
        Ok(ReplaySelection { since, channel: arguments.channel.clone(), limit: arguments.limit })
    }

    fn replay(
        &self,
        shop: &Shop<'_>,
        candidate: &Candidate,
        against: Option<&Candidate>,
        selection: ReplaySelection,
    ) -> Replay {
        let engine = Engine {
            candidate: candidate.release.clone(),
            against: against.map(|against| against.release.clone()),
            limits: Arc::new(self.guests.limits.clone()),
            at_once: 2 * shop.threads(),
        };
        let (database, objects) = (self.database.clone(), self.objects.clone());
        let candidate = candidate.release.clone();
        let cases = CaseReader::new(database, objects, candidate, shop.runtime().clone(), self.transcript_bytes);
        Replay { engine, cases, selection }
    }
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
        selection: serde_json::to_value(selection).context("write down which jobs are meant")?,
    })
}

/// Of its own for every comparison, so that no two mix.
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

/// How to go on.
fn stopped(folder: &std::path::Path) -> String {
    format!("stopped; what is in {} stays, and the same command goes on behind it", folder.display())
}

/// indicatif draws on a terminal only.
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
