//! `old`: the worker of another program beside Assay's, on tables that were its own; either is killed at random.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

use crate::{
    scenarios::cast::WORKERS,
    step::{Action, Step},
    times::Times,
};

/// Workers of the other program.
pub const OLD_WORKERS: usize = 3;

/// Plans one death per blow, of this program's worker or that one's. The first two are one of each.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    let blows = u32::try_from(duration.as_millis() / times.blow.as_millis()).unwrap_or(u32::MAX);
    let step = |blow| {
        let old = if blow <= 2 { blow == 1 } else { dice.random_bool(0.5) };
        let action = if old {
            Action::KillOld(dice.random_range(1..=OLD_WORKERS))
        } else {
            Action::Kill(dice.random_range(1..=WORKERS))
        };
        Step { at: times.blow * blow, lasts: times.blow.mul_f64(dice.random_range(0.1..0.7)), action }
    };
    (1..=blows).map(step).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::scenarios::runs::RUNS;

    #[test]
    fn every_run_kills_workers_of_both_programs() {
        for (duration, times) in RUNS {
            let steps = steps(&mut StdRng::seed_from_u64(3), duration, &times);
            let old = steps.iter().filter(|step| matches!(step.action, Action::KillOld(_))).count();
            assert!(old > 0 && old < steps.len());
        }
    }
}
