//! How fixtures ended, as `--json` prints it.

use std::time::Duration;

use assay_guest_test::{Fixture, Trial};
use serde::Serialize;

use super::Bench;

/// All of a run.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Whether every fixture passed.
    pub ok: bool,
    /// The guest's prompt version.
    pub guest: String,
    /// Its digest.
    pub digest: String,
    /// The compiler that fuel budgets go by.
    pub toolchain: String,
    /// Fixtures that the filter left out.
    pub filtered_out: usize,
    /// The others.
    pub fixtures: Vec<Outcome>,
    /// The whole run, in seconds.
    pub seconds: f64,
}

/// One fixture.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// How it ended.
    #[serde(flatten)]
    pub ending: Ending,
    /// What it took; nothing where it gave no step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What a fixture took.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// Of all calls together.
    pub fuel: u64,
    /// What it may take a tenth more than.
    pub fuel_budget: Option<u64>,
    /// Linear memory at its largest, in bytes.
    pub peak_memory: usize,
    /// Time in the sandbox, with fuel counted, in seconds.
    pub seconds: f64,
    /// Calls of `advance`.
    pub calls: usize,
}

/// How a fixture ended.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Ending {
    /// As expected.
    Passed,
    /// Not as expected, and now it is the expectation.
    Accepted {
        /// From the earlier expectation.
        diff: String,
    },
    /// The budget is another now.
    FuelAccepted {
        /// The earlier one.
        before: Option<u64>,
    },
    /// Another step than the expected one.
    Unexpected {
        /// From the expected to the actual one.
        diff: String,
        /// Nobody has accepted a step yet.
        new: bool,
    },
    /// More than a tenth above its budget.
    TooMuchFuel,
    /// No step at all.
    TrialError {
        /// Why.
        message: String,
    },
}

impl Ending {
    /// Whether it counts as passed.
    pub fn ok(&self) -> bool {
        matches!(self, Self::Passed | Self::Accepted { .. } | Self::FuelAccepted { .. })
    }
}

impl Outcome {
    pub(super) fn failed(fixture: &Fixture, ending: Ending) -> Self {
        Self { name: fixture.name.clone(), ending, cost: None }
    }

    pub(super) fn of(fixture: &Fixture, trial: &Trial, fuel_budget: Option<u64>, ending: Ending) -> Self {
        let cost = Cost {
            fuel: trial.fuel,
            fuel_budget,
            peak_memory: trial.peak_memory,
            seconds: trial.elapsed.as_secs_f64(),
            calls: trial.rounds.len() + 1,
        };
        Self { name: fixture.name.clone(), ending, cost: Some(cost) }
    }
}

impl Results {
    pub(super) fn new(bench: &Bench, fixtures: Vec<Outcome>, filtered_out: usize, elapsed: Duration) -> Self {
        Self {
            ok: fixtures.iter().all(|outcome| outcome.ending.ok()),
            guest: bench.guest.manifest().prompt_version.clone(),
            digest: bench.guest.digest().to_string(),
            toolchain: bench.toolchain.clone(),
            filtered_out,
            fixtures,
            seconds: elapsed.as_secs_f64(),
        }
    }
}
