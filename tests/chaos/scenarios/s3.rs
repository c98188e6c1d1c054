//! `s3`: the bucket fails, throttles, resets, stalls, takes what it does not confirm, and does not delete.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::turns::{Turn, rounds};
use crate::faults::{BucketFault, BucketTrouble};
use crate::plan::{Action, Step};
use crate::times::Times;

/// Its plan: every trouble in each round. A stall lasts for as long as anybody waits for it, so that some are met from beginning to end.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    rounds(dice, duration, times.blow * 2, |dice| {
        let turn = |trouble| {
            let action = Action::Bucket(BucketFault { trouble, seed: dice.random() });
            if trouble == BucketTrouble::Stall { Turn::at_least(action, times.s3) } else { Turn::of(action) }
        };
        BucketTrouble::ALL.into_iter().map(turn).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;
    use crate::scenarios::{Scenario, tests::RUNS};

    #[test]
    fn every_run_meets_every_trouble() {
        for (duration, times) in RUNS {
            let steps = plan(3, Scenario::S3, duration, &times);
            for wanted in BucketTrouble::ALL {
                let is_it = |step: &&Step| matches!(step.action, Action::Bucket(fault) if fault.trouble == wanted);
                let step = steps.iter().find(is_it).unwrap_or_else(|| panic!("{wanted} in {duration:?}"));
                assert!(wanted != BucketTrouble::Stall || step.lasts >= times.s3);
            }
        }
    }
}
