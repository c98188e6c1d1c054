//! `assay guest test`.

mod outcome;
mod told;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Context;
use assay_conversation::JobLimits;
use assay_core::env::Variables;
use assay_guest_build::toolchain;
use assay_guest_test::{FIXTURES, Fixture, Fuel, FuelComparison, run_fixture, step_json};
use assay_runtime::{Fault, Finding, Guest, Step, Verifier};
use serde_json::Value;

use self::outcome::Outcome;
pub(super) use self::outcome::{Ending, Results};
use super::{junit, make::Maker, source::Source};
use crate::{exit::Failure, output};

/// Run a guest's fixtures in the sandbox, under a worker's limits.
///
/// Each runs twice and must take the same steps, which must be the expected ones, with at most a tenth more fuel than
/// its budget for this compiler. Exits 0 where all pass, else 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest test                         the guest in this folder
  assay guest test minutes-v1 asks         fixtures whose name has `asks` in it
  assay guest test minutes-v1 --accept     make what it does now the expectation
  assay guest test minutes-v1.wasm --junit results.xml")]
pub struct Arguments {
    /// The guest's folder, or a component that carries its fixtures
    #[arg(value_name = "DIR|FILE.wasm", default_value = ".")]
    path: PathBuf,
    /// Only fixtures whose name contains this
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Write what changed into the fixtures, after showing it
    #[arg(long)]
    accept: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Write the results as JUnit XML, for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Builds, runs, tells.
pub async fn run(arguments: &Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    let source = Source::at(&arguments.path)?;
    if arguments.accept && matches!(source, Source::Component(_)) {
        return Err(anyhow::anyhow!("{source} is built already; accept in the folder of its sources").into());
    }
    let maker = Maker::new(vars)?;
    let made = maker.make(&source).await.with_context(|| format!("build {source}"))?;
    let runtime = maker.runtime()?;
    let guest = runtime.load(&made.bytes).await.map_err(anyhow::Error::from)?;
    let verifier = runtime.verifier(&guest.manifest().schema).await.map_err(anyhow::Error::from)?;
    let all = source.fixtures(&made.bytes)?;
    if all.is_empty() {
        return Err(without_fixtures(&source).into());
    }
    let wanted = |fixture: &&Fixture| arguments.filter.as_ref().is_none_or(|part| fixture.name.contains(part.as_str()));
    let fixtures: Vec<&Fixture> = all.iter().filter(wanted).collect();
    let toolchain = toolchain(&made.bytes).unwrap_or_else(|| "unknown".to_owned());
    let mut bench = Bench {
        guest,
        verifier,
        limits: maker.job_limits().clone(),
        source,
        toolchain,
        fuel: Fuel::of(&all),
        accept: arguments.accept,
        accepted: Vec::new(),
    };
    let results = bench.run(&fixtures, all.len()).await;
    if arguments.json {
        output::print_json(&results)?;
    } else {
        output::print(&told::text(&results, std::io::stdout().is_terminal()))?;
    }
    // Shown first: who interrupts now keeps what was there.
    if arguments.accept {
        bench.write_accepted(&all)?;
    }
    if let Some(path) = &arguments.junit {
        let xml = junit::xml(&results).context("write the results as XML")?;
        std::fs::write(path, xml).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(if results.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// There is nothing to run, and where it can be recorded.
fn without_fixtures(source: &Source) -> anyhow::Error {
    match source {
        Source::Component(_) => anyhow::anyhow!(
            "{source} carries no fixtures; record one into the folder of its sources, and build it again: `assay guest try DIR TRANSCRIPT --record NAME`"
        ),
        Source::Folder(_) | Source::Crate(_) => {
            anyhow::anyhow!("{source} has no fixtures; `assay guest try {source} TRANSCRIPT --record NAME` writes one")
        }
    }
}

/// What the host's own check has against a report that the guest accepts.
fn objection(checked: Result<Vec<Finding>, Fault>) -> Option<String> {
    match checked {
        Ok(findings) if findings.is_empty() => None,
        Ok(_) => Some(
            "the guest accepts a report that its schema refuses; a worker ends such a job with report_invalid"
                .to_owned(),
        ),
        Err(fault) => Some(format!("second check: {fault}")),
    }
}

/// A guest, and what its fixtures are held to.
struct Bench {
    guest: Guest,
    verifier: Verifier,
    limits: JobLimits,
    source: Source,
    toolchain: String,
    fuel: Fuel,
    accept: bool,
    /// The steps that are the expectation from now on, by fixture.
    accepted: Vec<(String, Value)>,
}

impl Bench {
    async fn run(&mut self, fixtures: &[&Fixture], all: usize) -> Results {
        let started = Instant::now();
        let mut outcomes = Vec::new();
        for fixture in fixtures {
            outcomes.push(self.judge(fixture).await);
        }
        Results::new(self, outcomes, all - fixtures.len(), started.elapsed())
    }

    async fn judge(&mut self, fixture: &Fixture) -> Outcome {
        let trial = match run_fixture(&self.guest, fixture, &self.limits).await {
            Ok(trial) => trial,
            Err(trouble) => return Outcome::failed(fixture, Ending::TrialError { message: trouble.to_string() }),
        };
        if let Step::Accept(report) = &trial.step
            && let Some(message) = objection(self.verifier.check(&report.document).await.result)
        {
            return Outcome::failed(fixture, Ending::TrialError { message });
        }
        let step = step_json(&trial.step);
        let ending = match &fixture.expected {
            Some(expected) if *expected == step => self.judge_fuel(fixture, trial.fuel),
            expected => {
                let diff = assay_guest_test::step_diff(expected.as_ref(), &step);
                if self.accept {
                    self.accepted.push((fixture.name.clone(), step));
                    self.fuel.accept(&self.toolchain, &fixture.name, trial.fuel);
                    Ending::Accepted { diff }
                } else {
                    Ending::Unexpected { diff, new: expected.is_none() }
                }
            }
        };
        let budget = self.fuel.budget(&self.toolchain, &fixture.name);
        Outcome::of(fixture, &trial, budget, ending)
    }

    fn judge_fuel(&mut self, fixture: &Fixture, fuel: u64) -> Ending {
        let verdict = self.fuel.judge(&self.toolchain, &fixture.name, fuel);
        match verdict {
            FuelComparison::Within => Ending::Passed,
            // Nothing to compare with, or room that the next change for the worse would hide in.
            FuelComparison::Unknown | FuelComparison::Below | FuelComparison::Above if self.accept => {
                let before = self.fuel.budget(&self.toolchain, &fixture.name);
                self.fuel.accept(&self.toolchain, &fixture.name, fuel);
                Ending::FuelAccepted { before }
            }
            FuelComparison::Unknown | FuelComparison::Below => Ending::Passed,
            FuelComparison::Above => Ending::TooMuchFuel,
        }
    }

    fn write_accepted(&mut self, all: &[Fixture]) -> anyhow::Result<()> {
        let fixtures = self.source.path().join(FIXTURES);
        for (name, step) in &self.accepted {
            Fixture::expect(&fixtures.join(name), step)?;
        }
        let names: Vec<&str> = all.iter().map(|fixture| fixture.name.as_str()).collect();
        self.fuel.keep_only(&names);
        Ok(self.fuel.write(&fixtures)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_check_that_fails_is_the_trouble_of_its_fixture() {
        assert_eq!(objection(Ok(Vec::new())), None);
        let finding = Finding { code: "type".into(), pointer: String::new(), message: "no object".into() };
        assert!(objection(Ok(vec![finding])).unwrap().contains("report_invalid"));
        let timed_out = objection(Err(Fault::Timeout)).unwrap();
        assert_eq!(timed_out, format!("second check: {}", Fault::Timeout));
    }
}
