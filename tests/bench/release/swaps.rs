//! Swaps under load: releases are activated while 200 jobs are in flight.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use assay_tests::{AssayProcess, with};
use time::OffsetDateTime;

use crate::{
    bounds::Bounds,
    flow::Flow,
    guests::{self, Release, assay},
    model::Model,
    purity,
    stage::{LOOK_EVERY, Stage, stop},
};

/// Jobs that wait or run at any time, and slots of the worker.
const IN_FLIGHT: usize = 200;
/// What the model takes for an answer.
const LATENCY: Duration = Duration::from_secs(1);
/// The time without swaps that the others are compared with.
const CALM: Duration = Duration::from_secs(15);
/// Releases whose schema the worker knows, the first of which it runs from the start.
const PLAIN: usize = 5;
/// Releases with a schema of their own.
const OWN: usize = 3;
/// Time between two looks for the first claim.
const SOON: Duration = Duration::from_millis(10);
/// A release that does not run by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is needed for a swap.
struct Bench {
    stage: Arc<Stage>,
    env: BTreeMap<String, String>,
}

/// A part of the run, by the database's clock.
struct Part {
    from: OffsetDateTime,
    to: OffsetDateTime,
}

/// Measures, and holds the bounds.
///
/// # Errors
/// A part of the bench does not work. A missed bound is no error.
pub async fn run(stage: Stage, swaps: usize, folder: &Path, bounds: &mut Bounds) -> anyhow::Result<()> {
    let model = Model::start(LATENCY).await?;
    let (stage, releases) = (Arc::new(stage), folder.join("guests"));
    // Publishing compiles, too: with the worker's cache it would leave nothing to measure.
    let publisher = folder.join("publisher").display().to_string();
    let publisher = with(stage.env(&model.base_url, IN_FLIGHT), &[("GUEST_CACHE_DIR", &publisher)]);
    let (plain, own) = prepare(&releases, &publisher).await.context("make the releases")?;
    let first = folder.join("first");
    std::fs::create_dir_all(&first)?;
    std::fs::copy(releases.join(&plain[0].version).with_extension("wasm"), first.join("first.wasm"))?;
    let changes = [
        ("GUEST_CACHE_DIR", folder.join("worker").display().to_string()),
        ("GUEST_DIR", first.display().to_string()),
        ("REPORT_PROMPT_VERSION", plain[0].version.clone()),
    ];
    let env = with(publisher.clone(), &changes.each_ref().map(|(name, value)| (*name, value.as_str())));
    let bench = Bench { stage: stage.clone(), env };
    println!(
        "swaps: {IN_FLIGHT} jobs in flight, a model that takes {LATENCY:?}, guests of {:.1} MB",
        plain[0].bytes as f64 / 1e6
    );

    let worker = bench.worker().await?;
    let flow = Flow::begin(stage.clone(), IN_FLIGHT);
    let calm = bench.calm(&model).await?;
    let from = bench.clock().await?;
    let known = bench.swap_all(&plain[1..]).await.context("activate releases with a known schema")?;
    let unknown = bench.swap_all(&own).await.context("activate releases with another schema")?;
    let compiling = Part { from, to: bench.clock().await? };
    flow.end().await?;
    stage.wait_until_quiet(LOOK_EVERY).await?;
    stop(worker).await?;

    // Another process: what it has is on disk, and not in memory.
    let worker = bench.worker().await?;
    let flow = Flow::begin(stage.clone(), IN_FLIGHT);
    let calm_again = bench.calm(&model).await?;
    let most = model.take_most_in_flight();
    let order: Vec<_> = plain.iter().chain(&own).cycle().take(swaps).cloned().collect();
    let from = bench.clock().await?;
    let cached = bench.swap_all(&order).await.context("activate releases in the cache")?;
    let swapping = Part { from, to: bench.clock().await? };
    flow.end().await?;
    let failed = stage.wait_until_quiet(LOOK_EVERY).await?;
    stop(worker).await?;

    bounds.at_least("calls in flight at once", most as f64, IN_FLIGHT as f64 * 0.9, None);
    bounds.at_most("failed jobs", failed as f64, 0.0, None);
    bounds.at_most("attempts that did not succeed", bench.unsuccessful().await?, 0.0, None);
    bounds.at_most("repeated calls of the model", f64::from(model.repeated()), 0.0, None);
    let all: Vec<_> = plain.iter().chain(&own).cloned().collect();
    let purity = purity::check(&stage, &model, &all).await.context("compare prompts and reports")?;
    bounds.at_most("jobs of more than one release", purity.mixed as f64, 0.0, None);
    println!("  {:<44} {:>9}", "jobs that were compared", purity.jobs);
    println!("  {:<44} {:>9}", "calls of the model", model.calls());
    println!("from activate to the first claim, ms");
    for (name, times, bound) in [
        ("in the cache", &cached, 500.0),
        ("compiled, the schema is known", &known, 5000.0),
        ("compiled, with its verifier", &unknown, 10_000.0),
    ] {
        println!("  {:<44} {:>9.2}", format!("{name}: median of {}", times.len()), median(times));
        bounds.at_most(&format!("{name}: longest"), longest(times), bound, None);
    }
    println!("from enqueue to the end, ms: p99");
    for (name, calm, part) in [("swapping", &calm_again, &swapping), ("compiling", &calm, &compiling)] {
        let (calm, part) = (bench.p99(calm).await?, bench.p99(part).await?);
        println!("  {:<44} {calm:>9.0}", format!("before {name}"));
        println!("  {:<44} {part:>9.0}", format!("while {name}"));
        bounds.at_most(&format!("while {name}, times before"), part / calm, 1.5, None);
    }
    Ok(())
}

/// Builds and publishes every release.
async fn prepare(folder: &Path, env: &BTreeMap<String, String>) -> anyhow::Result<(Vec<Release>, Vec<Release>)> {
    let (mut plain, mut own) = (Vec::new(), Vec::new());
    for number in 0..PLAIN {
        let version = format!("bench-plain-{number}");
        guests::build(folder, &version, &guests::shared_schema(), env).await?;
        plain.push(guests::publish(folder, &version, env).await?);
    }
    for number in 0..OWN {
        let version = format!("bench-own-{number}");
        guests::build(folder, &version, &guests::own_schema(&version), env).await?;
        own.push(guests::publish(folder, &version, env).await?);
    }
    Ok((plain, own))
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn longest(times: &[f64]) -> f64 {
    times.iter().copied().fold(0.0, f64::max)
}

impl Bench {
    async fn worker(&self) -> anyhow::Result<AssayProcess> {
        let worker = AssayProcess::spawn(&["worker"], &self.env);
        worker.wait_for_line("worker started").await;
        Ok(worker)
    }

    /// The flow alone, once it is full.
    async fn calm(&self, model: &Model) -> anyhow::Result<Part> {
        tokio::time::sleep(3 * LATENCY).await;
        model.take_most_in_flight();
        let from = self.clock().await?;
        tokio::time::sleep(CALM).await;
        Ok(Part { from, to: self.clock().await? })
    }

    /// Activates one after the other, each when the one before runs; returns the times to the first claim, in ms.
    async fn swap_all(&self, releases: &[Release]) -> anyhow::Result<Vec<f64>> {
        let mut times = Vec::with_capacity(releases.len());
        for release in releases {
            let time = self.swap(release).await.with_context(|| format!("activate {}", release.version))?;
            times.push(time);
        }
        Ok(times)
    }

    async fn swap(&self, release: &Release) -> anyhow::Result<f64> {
        assay(&["release", "activate", &release.version, "--allow-schema-change"], &self.env).await?;
        let first = async {
            loop {
                let waited: Option<f64> = sqlx::query_scalar(
                    "select extract(epoch from min(j.locked_at) - c.at)::float8 * 1e3
                       from (select at from release_changes where action = 'activate' order by id desc limit 1) c
                       join processing_jobs j
                         on j.status = 'processing' and j.guest_digest = $1 and j.locked_at >= c.at
                      group by c.at",
                )
                .bind(&release.digest)
                .fetch_optional(&self.stage.pool)
                .await?;
                if let Some(waited) = waited {
                    return anyhow::Ok(waited);
                }
                tokio::time::sleep(SOON).await;
            }
        };
        tokio::time::timeout(PATIENCE, first).await.context("no job began on it in time")?
    }

    async fn clock(&self) -> anyhow::Result<OffsetDateTime> {
        Ok(sqlx::query_scalar("select now()").fetch_one(&self.stage.pool).await?)
    }

    /// Attempts that ended in another way than with a report.
    async fn unsuccessful(&self) -> anyhow::Result<f64> {
        let sql = "select count(*) from job_attempts where outcome <> 'succeeded'";
        Ok(sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.stage.pool).await? as f64)
    }

    /// Returns the time that one in a hundred of the jobs of a part took longer than, in ms.
    async fn p99(&self, part: &Part) -> anyhow::Result<f64> {
        Ok(sqlx::query_scalar(
            "select percentile_cont(0.99) within group (order by extract(epoch from processed_at - queued_at)::float8 * 1e3)
               from files where queued_at >= $1 and queued_at < $2",
        )
        .bind(part.from)
        .bind(part.to)
        .fetch_one(&self.stage.pool)
        .await?)
    }
}
