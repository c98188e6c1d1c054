//! `cargo xtask bench pipeline`: what a job costs, and whether the bounds hold. No test, and no part of CI.
//!
//! One worker (the release binary, a process of its own), Postgres with `synchronous_commit=on`, and in this process an
//! S3 server that keeps its objects in memory and a model that answers at once or after a while; everything on loopback
//! and on one machine. What the processes use is read from `/proc`, what the database does from its own statistics.
//!
//! Arguments: `--before FILE`, an optimized binary of another revision: both take turns then, and the ratios are printed.
//! `--only PART`, one part of what is measured.

mod beside;
mod bounds;
mod load;
mod machine;
mod model;
mod poolers;
mod stage;
#[expect(dead_code, reason = "the bench of releases reads reports, too")]
mod store;
mod talk;
mod usage;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;

use assay_tests::Authority;
use bounds::Bounds;
use stage::Stage;

/// Jobs of the throughput run; enough for some ten seconds.
const JOBS: usize = 6000;
/// Jobs that are picked up one by one.
const PICK_UPS: usize = 300;
/// Claims in each way to reach the database.
const CLAIMS: usize = 1000;
/// Jobs in flight at once in the run against a slow model.
const IN_FLIGHT: usize = 3000;

/// What is measured, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Many jobs at once.
    Throughput,
    /// One job after the other, an idle worker.
    PickUp,
    /// Claims, directly and behind poolers.
    Claims,
    /// Many calls of a slow model at once, plain and over TLS.
    Crowd,
    /// Another revision in turn with this one.
    Beside,
}

#[derive(Debug, clap::Parser)]
struct Args {
    /// An optimized binary of another revision
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// Measure this part alone
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let is_wanted = |part: Part| args.only.is_none_or(|only| only == part);
    let now = assay_tests::binary();
    let stage = Stage::set_up().await.context("set the stage")?;
    println!("{}", machine::machine());
    println!(
        "one worker, {} guest, 6 KB transcripts, synchronous_commit=on, S3 server (in memory) and model in one other process\n",
        stage::VERSION
    );

    let mut bounds = Bounds::default();
    if is_wanted(Part::Throughput) {
        throughput(&stage, &now, &mut bounds).await.context("measure throughput")?;
    }
    if is_wanted(Part::PickUp) {
        pick_up(&stage).await.context("measure pick-up latency")?;
    }
    if is_wanted(Part::Claims) {
        claims(&stage).await.context("measure claims behind poolers")?;
    }
    if is_wanted(Part::Crowd) {
        crowds(&stage, &now, &mut bounds).await.context("measure a crowd in flight")?;
    }
    if let Some(before) = args.before.filter(|_| is_wanted(Part::Beside)) {
        println!("the revision before, in turn with this one, {} times each: medians", beside::ROUNDS);
        stage.beside(&before, &now).await.context("measure both revisions in turn")?;
    }
    Ok(bounds.verdict())
}

async fn throughput(stage: &Stage, now: &Path, bounds: &mut Bounds) -> anyhow::Result<()> {
    let run = stage.throughput(now, JOBS, 64).await?;
    println!("throughput: {JOBS} jobs, 64 slots, a model that answers at once");
    bounds.at_most("CPU of the worker per job, ms", run.cpu_ms_per_job, 2.0, Some(1.0));
    bounds.at_least("jobs per second", run.jobs_per_second, 400.0, Some(600.0));
    println!("  {:<44} {:>9.2}", "CPU of Postgres per job, ms", run.database_ms_per_job);
    println!("  {:<44} {:>9.2}", "CPU of S3 server and model per job, ms", run.servers_ms_per_job);
    println!("  {:<44} {:>9.1}", "peak memory of the worker, MB", run.peak_mb);
    println!("  {:<44} {:>9.2}", "commits per job", run.commits_per_job);
    println!("  {:<44} {:>9.0}", "WAL bytes per job", run.wal_bytes_per_job);
    Ok(())
}

async fn pick_up(stage: &Stage) -> anyhow::Result<()> {
    let pick_up = stage.pick_up(PICK_UPS).await?;
    println!("pick-up: {PICK_UPS} jobs, one after the other, an idle worker");
    println!("  {:<44} {:>9.1}", "p50, ms", pick_up.p50_ms);
    println!("  {:<44} {:>9.1}", "p99, ms", pick_up.p99_ms);
    Ok(())
}

async fn claims(stage: &Stage) -> anyhow::Result<()> {
    let claims = stage.claims_behind_poolers(CLAIMS).await?;
    println!("claims: {CLAIMS} of one job, one after the other");
    println!("  {:<44} {:>9.2}", "directly, ms", claims.direct);
    println!("  {:<44} {:>9.2}", "DATABASE_POOLER=transaction, ms", claims.sessionless);
    println!("  {:<44} {:>9.2}", "the same, times directly", claims.sessionless / claims.direct);
    if let Some(pgbouncer) = claims.pgbouncer {
        println!("  {:<44} {:>9.2}", "through PgBouncer in transaction mode, ms", pgbouncer);
        println!("  {:<44} {:>9.2}", "the same, times directly", pgbouncer / claims.direct);
    } else {
        println!("  not run: PgBouncer is not installed; cargo xtask setup installs it");
    }
    Ok(())
}

async fn crowds(stage: &Stage, now: &Path, bounds: &mut Bounds) -> anyhow::Result<()> {
    let authority = Authority::new()?;
    for (transport, authority) in [("", None), (" over TLS", Some(&authority))] {
        let crowd = stage.crowd(now, IN_FLIGHT, authority).await?;
        println!("crowd: a model{transport} that takes 5 s, {IN_FLIGHT} slots");
        bounds.at_least("jobs in flight at once", crowd.in_flight as f64, IN_FLIGHT as f64, None);
        bounds.at_most("peak memory of the worker, MB", crowd.peak_mb, 250.0, Some(150.0));
        println!("  {:<44} {:>9.1}", "memory per call in flight, KB", crowd.kb_per_call);
    }
    Ok(())
}
