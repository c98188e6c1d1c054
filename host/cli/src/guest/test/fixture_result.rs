//! Results of fixtures, as `--json` prints them.

use assay_guest_test::{Fixture, Trial};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Results {
    pub ok: bool,
    /// Prompt version.
    pub guest: String,
    pub digest: String,
    /// The compiler. Each compiler has its own fuel budgets.
    pub toolchain: String,
    pub filtered_out: usize,
    pub fixtures: Vec<FixtureResult>,
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
pub struct FixtureResult {
    pub name: String,
    #[serde(flatten)]
    pub ending: FixtureEnding,
    /// `None` without a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

#[derive(Debug, Serialize)]
pub struct Cost {
    /// Sum of all calls.
    pub fuel: u64,
    /// A fixture may use 10 % more.
    pub fuel_budget: Option<u64>,
    /// Peak of linear memory, in bytes.
    pub peak_memory: usize,
    /// Time in the sandbox, with fuel counting.
    pub seconds: f64,
    /// Calls of `advance`.
    pub calls: usize,
}

#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum FixtureEnding {
    Passed,
    /// The step changed, and is the expected one now.
    Accepted {
        /// From the old to the new step.
        diff: String,
    },
    /// The fuel budget changed.
    FuelAccepted {
        /// The old budget.
        before: Option<u64>,
    },
    /// The step is not the expected one.
    Unexpected {
        /// From the expected to the actual one.
        diff: String,
        /// Whether there is no expected step yet.
        new: bool,
    },
    /// More than 10 % above its budget.
    TooMuchFuel,
    /// There was no step.
    Trouble {
        message: String,
    },
}

impl FixtureEnding {
    /// Returns whether the fixture passed.
    pub fn ok(&self) -> bool {
        matches!(self, Self::Passed | Self::Accepted { .. } | Self::FuelAccepted { .. })
    }
}

impl FixtureResult {
    pub fn failed(fixture: &Fixture, ending: FixtureEnding) -> Self {
        Self { name: fixture.name.clone(), ending, cost: None }
    }

    pub fn of(fixture: &Fixture, trial: &Trial, fuel_budget: Option<u64>, ending: FixtureEnding) -> Self {
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
