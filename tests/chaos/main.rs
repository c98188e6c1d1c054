//! `cargo xtask chaos`: starts everything, runs a load, breaks things, heals them, waits until it is quiet, and checks what must hold.

mod act;
mod evidence;
mod faults;
mod fleet;
mod invariants;
mod ledger;
mod load;
mod log_search;
mod old;
mod outcome;
mod plan;
mod quiet;
mod revision;
mod run;
mod scenarios;
mod services;
mod slot;
mod stage;
mod standby;
mod step;
mod table;
mod talk;
mod times;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Parser;
use futures::StreamExt;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use outcome::Outcome;
use run::Run;
use scenarios::scenario::Scenario;
use times::Times;

/// Break things under load, heal them, and check what must hold.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Options {
    /// What the plans are made of; the same seed repeats the same plans. Random where not given, and always printed
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How long each scenario is under load
    #[arg(long, value_name = "M", default_value_t = 1.0)]
    minutes: f64,
    /// Fifteen seconds of load, and all times scaled down further
    #[arg(long, conflicts_with = "minutes")]
    short: bool,
    /// The product's own times: a lease of 30 s, and all that follows from it
    #[arg(long, conflicts_with = "short")]
    real_times: bool,
    /// Scenarios at once; they share nothing but the machine. `poisoned` and `swarm` are always alone. 7, and 4 of a short run, whose load is greater
    #[arg(long, value_name = "N")]
    side_by_side: Option<usize>,
    /// The binary of the revision before, for the scenario `upgrade`; `cargo xtask chaos` takes a revision here, and builds it
    #[arg(long, value_name = "BINARY")]
    before: Option<PathBuf>,
    /// Print one JSON document; the table goes to standard error
    #[arg(long)]
    json: bool,
    /// Print the plans and break nothing
    #[arg(long)]
    plan: bool,
    /// All where none is named
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
}

const SHORT_LOAD: Duration = Duration::from_secs(15);

impl Options {
    fn run(&self) -> Run {
        let seed = self.seed.unwrap_or_else(rand::random);
        let times = match (self.short, self.real_times) {
            (true, _) => Times::SHORT,
            (_, true) => Times::REAL,
            _ => Times::LONG,
        };
        let load = if self.short { "--short".to_owned() } else { format!("--minutes {}", self.minutes) };
        let real = if self.real_times { " --real-times" } else { "" };
        let duration = if self.short { SHORT_LOAD } else { Duration::from_secs_f64(self.minutes * 60.0) };
        let options = format!("--seed {seed} {load}{real}");
        Run { seed, duration, times, short: self.short, before: self.before.clone(), options }
    }

    /// Returns the scenarios to run.
    ///
    /// # Errors
    /// One is named that cannot run.
    fn scenarios(&self) -> anyhow::Result<Vec<Scenario>> {
        let can_run = |scenario: &Scenario| *scenario != Scenario::Upgrade || self.before.is_some() || self.plan;
        if self.scenarios.is_empty() {
            let (scenarios, left_out): (Vec<_>, Vec<_>) = Scenario::all().partition(can_run);
            left_out.iter().for_each(|scenario| eprintln!("{scenario}: left out, as --before names no binary"));
            return Ok(scenarios);
        }
        ensure!(self.scenarios.iter().all(can_run), "upgrade has no revision to begin with: expected --before BINARY");
        Ok(self.scenarios.clone())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(old::WORKER) {
        old::work().await?;
    }
    let options = Options::parse();
    let run = options.run();
    eprintln!("seed {}", run.seed);
    if options.plan {
        show_plans(&options, &run)?;
        return Ok(ExitCode::SUCCESS);
    }
    let scenarios = options.scenarios()?;
    let outcomes = tokio::select! {
        outcomes = everything(&options, &run, scenarios) => outcomes,
        // Dropping the run ends its processes.
        interrupted = interrupted() => {
            interrupted?;
            eprintln!("interrupted");
            return Ok(ExitCode::FAILURE);
        }
    };
    let table = table::table(&outcomes);
    if options.json {
        eprintln!("{table}");
        println!("{}", serde_json::to_string_pretty(&json!({ "seed": run.seed, "scenarios": outcomes }))?);
    } else {
        println!("{table}");
    }
    Ok(if outcomes.iter().all(Outcome::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs what was asked for; last and alone what is measured.
async fn everything(options: &Options, run: &Run, scenarios: Vec<Scenario>) -> Vec<Outcome> {
    let (alone, beside): (Vec<_>, Vec<_>) = scenarios.into_iter().partition(|scenario| scenario.is_alone());
    let at_once = options.side_by_side.unwrap_or(if options.short { 4 } else { 7 });
    let mut outcomes = side_by_side(run, beside, at_once).await;
    outcomes.extend(side_by_side(run, alone, 1).await);
    outcomes
}

/// Waits for SIGTERM or SIGINT.
async fn interrupted() -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Runs scenarios, so many at once; their outcomes are in the order of the scenarios.
async fn side_by_side(run: &Run, scenarios: Vec<Scenario>, at_once: usize) -> Vec<Outcome> {
    let running = scenarios.into_iter().map(async |scenario| {
        let began = Instant::now();
        eprintln!("{scenario}: begins");
        let outcome = run.scenario(scenario).await;
        let verdict = if outcome.holds() { "holds" } else { "BROKEN" };
        eprintln!("{scenario}: {verdict} after {:.1} s", began.elapsed().as_secs_f64());
        if let Some(error) = &outcome.error {
            eprintln!("{scenario}: {error}");
        }
        // At once, because other scenarios may go on for an hour.
        for broken in outcome.invariants.iter().filter(|verdict| !verdict.broken.is_empty()) {
            let first = broken.broken.first().map_or("", String::as_str);
            eprintln!("{scenario}: {} broke {} times, first: {first}", broken.name, broken.broken.len());
        }
        outcome
    });
    futures::stream::iter(running).buffered(at_once.max(1)).collect().await
}

fn show_plans(options: &Options, run: &Run) -> anyhow::Result<()> {
    let plans = options.scenarios()?.into_iter().map(|scenario| (scenario.to_string(), run.plan(scenario)));
    if options.json {
        let plans: serde_json::Map<_, _> =
            plans.map(|(name, plan)| Ok((name, serde_json::to_value(plan)?))).collect::<serde_json::Result<_>>()?;
        println!("{}", serde_json::to_string_pretty(&json!({ "seed": run.seed, "plans": plans }))?);
        return Ok(());
    }
    for (name, plan) in plans {
        println!("{name}");
        plan.iter().for_each(|step| println!("{step}"));
    }
    Ok(())
}
