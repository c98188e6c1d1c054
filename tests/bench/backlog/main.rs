//! `cargo xtask bench backlog`: what a claim reads behind a million jobs that cannot run, and how soon a worker finds the
//! job behind them. No test, and no part of CI.
//!
//! Arguments: `--jobs N`, the length of the backlog; a million where not given.

mod backlog;
#[path = "../bounds.rs"]
#[expect(dead_code, reason = "other benches have least values, too")]
mod bounds;
#[path = "../machine.rs"]
mod machine;
#[path = "../model.rs"]
#[expect(dead_code, reason = "the bench of the pipeline counts requests, too")]
mod model;
mod reads;
#[path = "../stage.rs"]
#[expect(dead_code, reason = "other benches wait for many jobs, too")]
mod stage;
#[path = "../store.rs"]
#[expect(dead_code, reason = "the bench of releases reads reports, too")]
mod store;
#[path = "../talk.rs"]
mod talk;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use assay_tests::AssayProcess;
use bytes::Bytes;

use backlog::{BACKLOGS, Backlog};
use bounds::Bounds;
use model::Model;
use stage::{Stage, stop};

const JOBS: i64 = 1_000_000;
/// What one claim may read, in pages of 8 KB.
const MAX_BUFFERS: f64 = 500.0;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let jobs = jobs_wanted()?;
    let stage = Stage::set_up().await.context("set the stage")?;
    println!("{}", machine::machine());
    println!("{jobs} jobs that cannot run, then one that can; claims for 16 slots\n");
    let mut bounds = Bounds::default();
    for backlog in &BACKLOGS {
        backlog.fill(&stage, jobs).await.with_context(|| format!("make the backlog {:?}", backlog.name))?;
        println!("a backlog {}", backlog.name);
        let reads = reads::of_claim(&stage).await.context("explain a claim that finds no job")?;
        bounds.at_most("buffers of a claim that finds no job", reads.buffers, MAX_BUFFERS, None);
        let found = pick_up(&stage, backlog, &mut bounds).await.context("pick up the job behind the backlog")?;
        println!("  {:<44} {found:>9.1}", "from enqueue to claim by a worker, ms");
    }
    Ok(bounds.verdict())
}

/// Adds a job that can run, explains the claim that finds it, and lets a worker run it. Returns how long it waited, in ms.
async fn pick_up(stage: &Stage, backlog: &Backlog, bounds: &mut Bounds) -> anyhow::Result<f64> {
    let file = stage.add_files(1, |_| Bytes::from(talk::transcript())).await?[0];
    let model = Model::start(Duration::ZERO).await?;
    let mut env = stage.env(&model.base_url, 16);
    // Jobs of a version without a worker are to wait.
    env.insert("VERSION_PATIENCE_MS".to_owned(), "86400000".to_owned());
    let worker = AssayProcess::spawn(&["worker"], &env);
    worker.wait_for_line("worker started").await;
    let mut transaction = stage.pool.begin().await?;
    sqlx::query("select assay_enqueue($1, channel => $2)")
        .bind(file)
        .bind(backlog::HEALTHY_CHANNEL)
        .execute(&mut *transaction)
        .await?;
    let reads = reads::of_claim_in(&mut transaction).await.context("explain a claim that finds the job")?;
    bounds.at_most("buffers of a claim that finds it", reads.buffers, MAX_BUFFERS, None);
    if reads.found != 1 {
        bail!("{} jobs can be claimed behind the backlog {:?}, and not 1", reads.found, backlog.name);
    }
    transaction.rollback().await?;
    sqlx::query("select assay_enqueue($1, channel => $2)")
        .bind(file)
        .bind(backlog::HEALTHY_CHANNEL)
        .execute(&stage.pool)
        .await?;
    let lag = backlog::wait_for_report(&stage.pool, file).await?;
    stop(worker).await?;
    Ok(lag)
}

fn jobs_wanted() -> anyhow::Result<i64> {
    let mut jobs = JOBS;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--jobs" => jobs = words.next().context("--jobs wants a number")?.parse()?,
            // cargo's own.
            "--bench" => {}
            other => bail!("unknown argument `{other}`"),
        }
    }
    Ok(jobs)
}
