//! `kill`: a random worker dies every 2 s, as by a crash or the kernel's out-of-memory killer.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

use crate::{
    scenarios::cast::WORKERS,
    step::{Action, Step},
    times::Times,
};

/// Plans one death per blow, and a new worker before the next one.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    let blows = u32::try_from(duration.as_millis() / times.blow.as_millis()).unwrap_or(u32::MAX);
    let step = |blow| Step {
        at: times.blow * blow,
        lasts: times.blow.mul_f64(dice.random_range(0.1..0.7)),
        action: Action::Kill(dice.random_range(1..=WORKERS)),
    };
    (1..=blows).map(step).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::scenarios::runs::RUNS;

    #[test]
    fn every_run_kills_more_than_one_worker() {
        for (duration, times) in RUNS {
            let steps = steps(&mut StdRng::seed_from_u64(3), duration, &times);
            assert!(steps.iter().any(|step| step.action != steps[0].action));
        }
    }
}
