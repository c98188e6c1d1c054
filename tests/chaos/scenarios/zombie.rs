//! `zombie`: a worker is stopped for longer than its lease, others take its jobs, and then it goes on as if nothing had happened.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

use crate::{
    scenarios::cast::WORKERS,
    step::{Action, Step},
    times::Times,
};

/// Plans one stop after the other, so that another worker always claims.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    let mut at = times.answer;
    let mut steps = Vec::new();
    while at < duration {
        // Beyond the lease by at least a round of the reaper, so that it is taken back.
        let lasts = times.lease + times.reap + times.lease.mul_f64(dice.random_range(0.0..0.5));
        steps.push(Step { at, lasts, action: Action::Stop(dice.random_range(1..=WORKERS)) });
        at += lasts + times.answer.mul_f64(dice.random_range(0.5..2.0));
    }
    steps
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::scenarios::runs::RUNS;

    #[test]
    fn every_run_stops_a_worker_for_longer_than_its_lease() {
        for (duration, times) in RUNS {
            let steps = steps(&mut StdRng::seed_from_u64(3), duration, &times);
            assert!(!steps.is_empty() && steps.iter().all(|step| step.lasts >= times.lease + times.reap));
        }
    }
}
