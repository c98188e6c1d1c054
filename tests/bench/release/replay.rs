//! Replay: stored answers through a guest, from memory. What reads the bucket is left out, and so the engine alone is measured, with
//! the lines that it writes; in a process of its own, so that its memory can be measured.

use std::{process::Command, sync::Arc, time::Instant};

use anyhow::{Context, bail, ensure};
use assay_conversation::question_sha256;
use assay_core::{env::Variables, ids::FileId, report_diff::GuestVerdict};
use assay_runtime::{Answer, Compiler, Step, Transcript};
use assay_worker::{
    guests::{Guests, GuestsConfig, Release},
    releases::dry_run::{DryRunOutcome, RecordedAnswer, dry_run},
    replay::{Engine, RESULTS_FORMAT, ReplayCase, ReplayHeader, Results},
};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{bounds::Bounds, stage::VERSION, talk, usage::peak_mb};

/// What the parent says to its copy.
pub const ALONE: &str = "--replay-alone";
const CASES: usize = 20_000;
/// Transcripts that differ; the cases take turns.
const TALKS: usize = 64;
/// Of the stored reports, every so many-th is another one than the guest makes.
const CHANGED: usize = 10;

/// Runs the copy and holds its figures to their bounds.
///
/// # Errors
/// The copy does not end well.
pub fn run(bounds: &mut Bounds) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("find this bench")?;
    let output = Command::new(own).arg(ALONE).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the replay ended with {}", output.status);
    let figures: Value = serde_json::from_slice(&output.stdout).context("understand the replay's figures")?;
    let figure = |name: &str| figures[name].as_f64().with_context(|| format!("{name} is missing"));
    println!("replay of {CASES} stored answers of 6 KB, S3 reads excluded");
    bounds.at_least("cases per second and core", figure("per_second_and_core")?, 1000.0, None);
    bounds.at_most("memory, MB", figure("peak_mb")?, 300.0, None);
    println!();
    Ok(())
}

/// Measures in this process, and prints the figures as JSON.
///
/// # Errors
/// The guest does not do with the cases what it has to.
pub async fn alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cores = std::thread::available_parallelism()?.get();
    let cache = folder.path().join("cache").display().to_string();
    let values = [
        ("GUEST_DIR", assay_tests::guests().display().to_string()),
        ("GUEST_CACHE_DIR", cache),
        // As the command has it: the guests' threads, and one that compares.
        ("GUEST_THREADS", (cores + 1).to_string()),
    ];
    let mut vars = Variables::from_map(values.map(|(name, value)| (name.to_owned(), value)).into());
    let config = GuestsConfig { default_version: None, ..GuestsConfig::load(&mut vars) };
    let compiler = Compiler::Child { program: assay_tests::binary(), args: vec!["compile-guest".into()] };
    let guests = Guests::open(&config, compiler).await?;
    let loaded = guests.loaded();
    let loaded = loaded.iter().find(|loaded| loaded.prompt_version == VERSION).context("the guest")?;
    let release = guests.release(&loaded.digest).context("the guest is loaded")?;
    let limits = Arc::new(guests.limits().clone());
    let mut talks = Vec::new();
    for number in 0..TALKS {
        talks.push(Talk::new(number, &release, &limits).await?);
    }

    let engine = Engine { candidate: release.clone(), against: None, limits, at_once: 2 * (cores + 1) };
    let header = ReplayHeader {
        replay: RESULTS_FORMAT,
        guest: release.digest().to_owned(),
        prompt_version: VERSION.to_owned(),
        against: None,
        selection: json!({}),
    };
    let mut results = Results::open(&folder.path().join("results"), &header, &release)?;
    let started = Instant::now();
    let cases = futures::stream::iter((0..CASES).map(|number| talks[number % TALKS].case(number)));
    let mut replayed = std::pin::pin!(engine.run(cases));
    while let Some(replayed) = replayed.next().await {
        results.record(&replayed, false, None)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let count = |result| results.counts().of(result).files;
    let (same, changed) = (count("same"), count("changed"));
    let expected = (CASES - CASES / CHANGED) as u64;
    ensure!((same, changed) == (expected, CASES as u64 - expected), "{same} are the same, {changed} changed");
    let figures = json!({
        "per_second_and_core": CASES as f64 / seconds / cores as f64,
        "peak_mb": peak_mb(std::process::id())?,
    });
    println!("{figures}");
    Ok(())
}

/// A transcript with what is stored of it.
struct Talk {
    transcript: Arc<Transcript>,
    recorded: RecordedAnswer,
    report: Bytes,
    other_report: Bytes,
}

impl Talk {
    async fn new(
        number: usize,
        release: &Release,
        limits: &assay_worker::guests::GuestsLimits,
    ) -> anyhow::Result<Self> {
        let transcript = Arc::new(Transcript {
            id: Uuid::from_u128(number as u128).to_string(),
            text: format!("Person 0: This is talk {number}.\n{}", talk::transcript()),
            media_type: "text/plain".to_owned(),
            filename: String::new(),
            received_at: "2026-03-04T08:00:00Z".to_owned(),
            attributes: Vec::new(),
        });
        let question = match release.guest().advance(&transcript, &[]).await.result {
            Ok(Step::Ask(prompts)) => question_sha256(prompts.first().context("a question")?),
            _ => bail!("the guest asks nothing"),
        };
        let answer = Answer { text: talk::report(), model: "bench".to_owned() };
        let recorded = RecordedAnswer { question, answer };
        let rehearsal = dry_run(release, &transcript, std::slice::from_ref(&recorded), &limits.job, None).await;
        let DryRunOutcome::Accepted(report) = rehearsal.outcome else { bail!("the guest makes no report") };
        let mut other: Value = serde_json::from_slice(&report)?;
        other["overview"] = json!("Another one.");
        Ok(Self { transcript, recorded, report, other_report: Bytes::from(other.to_string()) })
    }

    fn case(&self, number: usize) -> ReplayCase {
        let changed = number.is_multiple_of(CHANGED);
        let report = if changed { &self.other_report } else { &self.report };
        ReplayCase {
            file: FileId(Uuid::from_u128(number as u128)),
            // As a reader of the bucket would have made them, for this case alone.
            transcript: Arc::new((*self.transcript).clone()),
            recorded: vec![self.recorded.clone()],
            verdict: GuestVerdict::Accepted(Bytes::copy_from_slice(report)),
            verified: true,
        }
    }
}
