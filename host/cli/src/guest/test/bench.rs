//! Runs fixtures and compares them with what they expect.

use std::time::Instant;

use assay_conversation::JobLimits;
use assay_guest_test::{FIXTURES, Fixture, Fuel, FuelComparison, run_fixture, same_step, step_json};
use assay_runtime::{Fault, Finding, Guest, Step, Verifier};
use serde_json::Value;

use crate::guest::{
    source::Source,
    test::fixture_result::{FixtureEnding, FixtureResult, Results},
};

/// Returns why the host's second check refuses a report that the guest accepts.
fn objection(checked: Result<Vec<Finding>, Fault>) -> Option<String> {
    match checked {
        Ok(findings) if findings.is_empty() => None,
        Ok(_) => Some(
            "the guest accepts a report that its schema does not allow; a worker would fail the job with report_invalid"
                .to_owned(),
        ),
        Err(fault) => Some(format!("second check: {fault}")),
    }
}

/// Runs the fixtures of one guest.
pub struct Bench {
    pub guest: Guest,
    pub verifier: Verifier,
    pub limits: JobLimits,
    pub source: Source,
    pub toolchain: String,
    pub fuel: Fuel,
    pub accept: bool,
    /// New expected steps, by fixture.
    pub accepted: Vec<(String, Value)>,
}

impl Bench {
    pub async fn run(&mut self, fixtures: &[&Fixture], all: usize) -> Results {
        let started = Instant::now();
        let mut outcomes = Vec::new();
        for fixture in fixtures {
            outcomes.push(self.judge(fixture).await);
        }
        Results {
            ok: outcomes.iter().all(|outcome| outcome.ending.ok()),
            guest: self.guest.manifest().prompt_version.clone(),
            digest: self.guest.digest().to_string(),
            toolchain: self.toolchain.clone(),
            filtered_out: all - fixtures.len(),
            fixtures: outcomes,
            seconds: started.elapsed().as_secs_f64(),
        }
    }

    async fn judge(&mut self, fixture: &Fixture) -> FixtureResult {
        let trial = match run_fixture(&self.guest, fixture, &self.limits).await {
            Ok(trial) => trial,
            Err(trouble) => {
                return FixtureResult::failed(fixture, FixtureEnding::Trouble { message: trouble.to_string() });
            }
        };
        if let Step::Accept(report) = &trial.step
            && let Some(message) = objection(self.verifier.check(&report.document).await.result)
        {
            return FixtureResult::failed(fixture, FixtureEnding::Trouble { message });
        }
        let step = step_json(&trial.step);
        let ending = match &fixture.expected {
            Some(expected) if same_step(expected, &step) => self.judge_fuel(fixture, trial.fuel),
            expected => {
                let diff = assay_guest_test::step_diff(expected.as_ref(), &step);
                if self.accept {
                    self.accepted.push((fixture.name.clone(), step));
                    self.fuel.accept(&self.toolchain, &fixture.name, trial.fuel);
                    FixtureEnding::Accepted { diff }
                } else {
                    FixtureEnding::Unexpected { diff, new: expected.is_none() }
                }
            }
        };
        let budget = self.fuel.budget(&self.toolchain, &fixture.name);
        FixtureResult::of(fixture, &trial, budget, ending)
    }

    fn judge_fuel(&mut self, fixture: &Fixture, fuel: u64) -> FixtureEnding {
        let verdict = self.fuel.judge(&self.toolchain, &fixture.name, fuel);
        match verdict {
            FuelComparison::Within => FixtureEnding::Passed,
            // There is no budget yet, or it is so large that it would hide the next increase.
            FuelComparison::Unknown | FuelComparison::Below | FuelComparison::Above if self.accept => {
                let before = self.fuel.budget(&self.toolchain, &fixture.name);
                self.fuel.accept(&self.toolchain, &fixture.name, fuel);
                FixtureEnding::FuelAccepted { before }
            }
            FuelComparison::Unknown | FuelComparison::Below => FixtureEnding::Passed,
            FuelComparison::Above => FixtureEnding::TooMuchFuel,
        }
    }

    pub fn write_accepted(&mut self, all: &[Fixture]) -> anyhow::Result<()> {
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
    fn a_failed_second_check_fails_its_fixture() {
        assert_eq!(objection(Ok(Vec::new())), None);
        let finding = Finding { code: "type".into(), pointer: String::new(), message: "no object".into() };
        assert!(objection(Ok(vec![finding])).unwrap().contains("report_invalid"));
        let timed_out = objection(Err(Fault::Timeout)).unwrap();
        assert_eq!(timed_out, format!("second check: {}", Fault::Timeout));
    }
}
