//! What is broken, when, and for how long: made of a seed before anything starts, so that the same seed breaks the same things.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};

use crate::{scenarios::scenario::Scenario, step::Step, times::Times};

/// Returns the plan of a scenario.
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
