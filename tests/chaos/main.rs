//! `cargo xtask chaos`: starts everything, runs a load, breaks things, heals them, waits until it is quiet, and checks what must hold.

mod act;
mod faults;
mod fleet;
mod plan;
mod scenarios;
mod stage;
mod talk;
mod times;

use std::time::Duration;

use clap::Parser;

use scenarios::Scenario;
use times::Times;

/// Break things under load, heal them, and check what must hold.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Options {
    /// What the plans are made of; the same seed repeats the same plans. Random where not given, and always told
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How long each scenario is under load
    #[arg(long, value_name = "M", default_value_t = 1.0)]
    minutes: f64,
    /// A few seconds of load, and all times scaled down further
    #[arg(long, conflicts_with = "minutes")]
    short: bool,
    /// The product's own times: a lease of 30 s, and all that follows from it
    #[arg(long, conflicts_with = "short")]
    real_times: bool,
    /// Scenarios at once; they share nothing but the machine
    #[arg(long, value_name = "N", default_value_t = 4)]
    side_by_side: usize,
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

/// Load of a short run.
const SHORT: Duration = Duration::from_secs(8);

fn main() {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(rand::random);
    let duration = if options.short { SHORT } else { Duration::from_secs_f64(options.minutes * 60.0) };
    let times = if options.short { Times::SHORT } else { Times::LONG };
    for scenario in Scenario::all() {
        println!("{scenario}, seed {seed}");
        for step in plan::plan(seed, scenario, duration, &times) {
            println!("{step}");
        }
    }
}
