//! `failover`: connections end, and new ones reach a streaming standby that accepts no writes, as after a failover with a stale DNS answer.

use std::time::Duration;

use rand::rngs::StdRng;

use crate::{
    faults::failover::Failover,
    scenarios::turns::{Turn, rounds},
    step::{Action, Step},
    times::Times,
};

/// Plans a short failover and one for longer than a lease in each round.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    rounds(dice, duration, times.blow * 2, |_| {
        vec![
            Turn::of(Action::Failover(Failover::WithinALease)),
            Turn::at_least(Action::Failover(Failover::BeyondALease), times.lease + times.reap),
        ]
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
    fn every_run_has_failovers_within_and_beyond_a_lease() {
        for (duration, times) in RUNS {
            let steps = plan(3, Scenario::Failover, duration, &times);
            let [mut within, mut beyond] = [0, 0];
            for step in &steps {
                match step.action {
                    Action::Failover(Failover::WithinALease) if step.lasts < times.lease => within += 1,
                    Action::Failover(Failover::BeyondALease) if step.lasts > times.lease => beyond += 1,
                    _ => panic!("{step}"),
                }
            }
            assert!(within > 0 && beyond > 0, "{duration:?}");
        }
    }
}
