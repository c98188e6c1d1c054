//! `llm`: the model refuses, fails, breaks off, crawls, and says odd things.
//!
//! What each trouble must lead to stands in docs/errors.md. Most end an attempt, some the job, some nothing: the invariants hold in every case.

use std::time::Duration;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    faults::model::{Hand, ModelFault},
    scenarios::turns::{Turn, rounds},
    step::{Action, Step},
    times::Times,
};

/// Plans all hands, so that every trouble is met; and from the second round on one trouble alone besides, long enough for breakers.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    let troubles: Vec<_> = Hand::TOGETHER.into_iter().flat_map(Hand::troubles).collect();
    let mut alone = None;
    rounds(dice, duration, times.blow * 2, |dice| {
        let hands = Hand::TOGETHER.into_iter().chain(alone.map(Hand::Only));
        let turns = hands.map(|hand| Turn::of(Action::Model(ModelFault { hand, seed: dice.random() }))).collect();
        alone = troubles.choose(dice).copied();
        turns
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::plan,
        scenarios::{runs::RUNS, scenario::Scenario},
    };

    #[test]
    fn every_run_meets_every_trouble() {
        for (duration, times) in RUNS {
            let mut met = Vec::new();
            for step in plan(3, Scenario::Llm, duration, &times) {
                let Action::Model(fault) = step.action else { panic!("{step}") };
                met.extend(fault.hand.troubles());
            }
            for trouble in Hand::TOGETHER.into_iter().flat_map(Hand::troubles) {
                assert!(met.contains(&trouble), "{trouble} in {duration:?}");
            }
        }
    }
}
