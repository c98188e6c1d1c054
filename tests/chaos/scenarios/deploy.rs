//! `deploy`: all workers are exchanged, one after the other, under load; sometimes with the time that they want, sometimes without.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

use crate::{
    scenarios::cast::WORKERS,
    step::{Action, Drain, Step},
    times::Times,
};

/// Plans rounds through all workers. Every kind of end is met in the first rounds, in another order for each worker.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    const DRAINS: [Drain; 3] = [Drain::Whole, Drain::GiveBack, Drain::Cut];
    let mut at = times.blow / 2;
    let mut steps = Vec::new();
    let first = dice.random_range(0..DRAINS.len());
    let mut round = 0;
    while at < duration {
        for slot in 1..=WORKERS {
            let drain = DRAINS[(first + round + slot) % DRAINS.len()];
            steps.push(Step { at, lasts: Duration::ZERO, action: Action::Restart(slot, drain) });
            at += times.blow.mul_f64(dice.random_range(0.5..1.0));
        }
        round += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::scenarios::runs::RUNS;

    #[test]
    fn every_run_meets_every_kind_of_end() {
        for (duration, times) in RUNS {
            let steps = steps(&mut StdRng::seed_from_u64(3), duration, &times);
            for drain in [Drain::Whole, Drain::GiveBack, Drain::Cut] {
                let is_it = |step: &Step| matches!(step.action, Action::Restart(_, wanted) if wanted == drain);
                assert!(steps.iter().any(is_it), "{drain:?} in {duration:?}");
            }
        }
    }
}
