//! What is broken, when, and for how long: made of a seed before anything starts, so that the same seed breaks the same things.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::{
    faults::{BucketFault, DatabaseFault, ModelFault},
    scenarios::Scenario,
    times::Times,
};

/// The number of a worker, from 1.
pub type Slot = usize;

/// One thing that is done to the stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// From the beginning of the load.
    pub at: Duration,
    /// Until it is undone.
    pub lasts: Duration,
    /// What is done.
    pub action: Action,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// SIGKILL; a new worker takes the place at the end.
    Kill(Slot),
    /// SIGSTOP while it holds jobs; SIGCONT at the end, but not before others have its jobs.
    Stop(Slot),
    /// An end as an orchestrator makes it; a new worker takes the place at once.
    Restart(Slot, Drain),
    /// Between workers and their database.
    Database(DatabaseFault),
    /// Between workers and the bucket.
    Bucket(BucketFault),
    /// Between workers and the model.
    Model(ModelFault),
    /// SIGKILL of a worker of the other program; a new one takes the place at the end.
    KillOld(Slot),
}

/// How much time a worker gets to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// SIGTERM, and all the time that it wants.
    Whole,
    /// SIGTERM twice: it gives its jobs back.
    GiveBack,
    /// SIGTERM, and SIGKILL before it can be done.
    Cut,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(slot) => write!(f, "SIGKILL w{slot}"),
            Self::Stop(slot) => write!(f, "SIGSTOP w{slot}"),
            Self::Restart(slot, Drain::Whole) => write!(f, "restart w{slot}, with time to drain"),
            Self::Restart(slot, Drain::GiveBack) => write!(f, "restart w{slot}, with time to give back"),
            Self::Restart(slot, Drain::Cut) => write!(f, "restart w{slot}, with no time"),
            Self::KillOld(slot) => write!(f, "SIGKILL worker {slot} of the other program"),
            Self::Database(fault) => write!(f, "database: {fault}"),
            Self::Bucket(fault) => write!(f, "bucket: {fault}"),
            Self::Model(fault) => write!(f, "model: {fault}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.3} s  {:7.3} s  {}", self.at.as_secs_f64(), self.lasts.as_secs_f64(), self.action)
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut step = serializer.serialize_struct("Step", 3)?;
        step.serialize_field("at_ms", &(self.at.as_millis() as u64))?;
        step.serialize_field("lasts_ms", &(self.lasts.as_millis() as u64))?;
        step.serialize_field("action", &self.action.to_string())?;
        step.end()
    }
}

/// The plan of a scenario.
pub fn plan(seed: u64, scenario: Scenario, duration: Duration, times: &Times) -> Vec<Step> {
    let mut steps = scenario.steps(&mut dice(seed, scenario, "plan"), duration, times);
    steps.retain(|step| step.at < duration);
    steps.sort_by_key(|step| step.at);
    steps
}

/// Dice of a scenario for one purpose: throwing them for one changes nothing for the others.
pub fn dice(seed: u64, scenario: Scenario, purpose: &str) -> StdRng {
    let mut hasher = DefaultHasher::new();
    (seed, scenario.to_string(), purpose).hash(&mut hasher);
    StdRng::seed_from_u64(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        for scenario in Scenario::all() {
            let [one, two] = [7, 7].map(|seed| plan(seed, scenario, MINUTE, &Times::LONG));
            assert_eq!(one, two, "{scenario}");
        }
    }

    #[test]
    fn another_seed_gives_another_plan() {
        for scenario in Scenario::all() {
            let [one, two] = [7, 8].map(|seed| plan(seed, scenario, MINUTE, &Times::LONG));
            assert_eq!(one == two, scenario == Scenario::Swarm, "only a swarm has no plan: {scenario}");
        }
    }

    #[test]
    fn steps_lie_within_the_time_and_in_its_order() {
        for scenario in Scenario::all() {
            for (duration, times) in [(MINUTE, Times::LONG), (Duration::from_secs(15), Times::SHORT)] {
                let steps = plan(3, scenario, duration, &times);
                assert!(steps.is_sorted_by_key(|step| step.at) && steps.iter().all(|step| step.at < duration));
            }
        }
    }
}
