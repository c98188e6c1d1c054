//! `postgres`: the server restarts and ends backends, connections are refused or fall silent, and commits come late or unheard.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

use crate::{
    faults::database::{DatabaseFault, Reach},
    scenarios::{
        cast::WORKERS,
        turns::{Turn, rounds},
    },
    step::{Action, Step},
    times::Times,
};

/// Plans every fault in each round. Connections are refused for longer than a lease: of all workers, so that no worker takes anything back
/// meanwhile, or of one, whose jobs the others take.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    let mut reach = if dice.random() { Reach::All } else { Reach::One(0) };
    rounds(dice, duration, times.blow * 2, |dice| {
        reach = match reach {
            Reach::All => Reach::One(dice.random_range(1..=WORKERS)),
            Reach::One(_) => Reach::All,
        };
        let half_open = if dice.random() { Reach::All } else { Reach::One(dice.random_range(1..=WORKERS)) };
        let refuse = Turn::at_least(Action::Database(DatabaseFault::Refuse(reach)), times.lease + times.reap);
        // Statements are delayed by lot, so a delay needs time to meet some.
        let others = [
            (DatabaseFault::Restart, 0.5),
            (DatabaseFault::Terminate, 1.0),
            (DatabaseFault::HalfOpen(half_open), 1.0),
            (DatabaseFault::Late(dice.random()), 1.5),
            (DatabaseFault::AnswerLost(dice.random()), 1.5),
        ];
        let others = others.map(|(fault, weight)| Turn::weighing(Action::Database(fault), weight));
        others.into_iter().chain([refuse]).collect()
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
    fn every_run_meets_every_fault() {
        for (duration, times) in RUNS {
            let steps = plan(3, Scenario::Postgres, duration, &times);
            let count = |wanted: fn(&DatabaseFault) -> bool| {
                steps.iter().filter(|step| matches!(&step.action, Action::Database(fault) if wanted(fault))).count()
            };
            assert!(count(|fault| *fault == DatabaseFault::Restart) > 0);
            assert!(count(|fault| *fault == DatabaseFault::Terminate) > 0);
            assert!(count(|fault| matches!(fault, DatabaseFault::HalfOpen(_))) > 0);
            assert!(count(|fault| matches!(fault, DatabaseFault::Late(_))) > 0);
            assert!(count(|fault| matches!(fault, DatabaseFault::AnswerLost(_))) > 0);
            assert!(count(|fault| matches!(fault, DatabaseFault::Refuse(_))) > 0);
            for step in &steps {
                let refused = matches!(step.action, Action::Database(DatabaseFault::Refuse(_)));
                assert!(!refused || step.lasts > times.lease, "{step}");
            }
        }
    }
}
