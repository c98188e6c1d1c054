//! `upgrade`: workers of the revision before and of this one share the queue, while all are rolled forward and back.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use assay_tests::AssayProcess;
use rand::{Rng, rngs::StdRng};
use sqlx::PgPool;
use tokio::time::Instant;

use crate::{
    act::LOOK_EVERY,
    revision::Revision,
    scenarios::cast::WORKERS,
    services::Services,
    slot::Slot,
    stage::Stage,
    step::{Action, Drain, Step},
    talk::Kind,
    times::Times,
};

/// Plans rounds through all workers, to this revision and back by turns. The workers begin with the revision before. The first one of a
/// round may drain: what it leaves behind would go to workers of its own revision. What the others leave goes to the other revision as well,
/// and all that the last one leaves.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    let mut at = times.blow / 2;
    let mut steps = Vec::new();
    let first = dice.random_range(0..2);
    let mut round = 0;
    while at < duration {
        let revision = if round % 2 == 0 { Revision::This } else { Revision::Before };
        for slot in 1..=WORKERS {
            let drain = match slot {
                1 => Drain::Whole,
                // Each end forward and back, before the other one.
                _ if (first + round / 2 + slot) % 2 == 0 => Drain::GiveBack,
                _ => Drain::Cut,
            };
            steps.push(Step { at, lasts: Duration::ZERO, action: Action::Roll(slot, drain, revision) });
            at += times.blow.mul_f64(dice.random_range(0.75..1.5));
        }
        round += 1;
    }
    steps
}

/// Exchanges a worker for one of a revision, one worker after the other. One that is to leave jobs behind ends as soon as an answer of one
/// of them is in the journal.
///
/// # Errors
/// The worker does not end as it should.
pub async fn roll(slot: Slot, drain: Drain, revision: Revision, stage: &Stage) -> anyhow::Result<()> {
    let _turn = stage.met.turn().await;
    if drain != Drain::Whole {
        let deadline = Instant::now() + stage.services.times.lease;
        while !holds_an_answer(slot, stage).await? && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    stage.fleet.roll(slot, drain, revision, &stage.services).await
}

/// Returns whether a worker has a job in hand of which an answer is in the journal, and another one is to come.
async fn holds_an_answer(slot: Slot, stage: &Stage) -> anyhow::Result<bool> {
    let sql = "select exists (select from processing_jobs j
                     join job_answers a on a.job_id = j.id and a.life = j.life
                    where j.status = 'processing' and j.locked_by like $1 and j.prompt_version = any ($2))";
    let holder = format!("w{slot}-%");
    // These are those that ask more than once.
    let versions: Vec<_> = Kind::ALL.into_iter().filter_map(Kind::prompt_version).collect();
    let ask = async |pool: &PgPool| sqlx::query_scalar(sql).bind(&holder).bind(&versions).fetch_one(pool).await;
    stage.services.patiently("look for an answer of a job in hand", ask).await
}

/// Lets the revision before load the guests of a run and look at the schema of this revision. Its workers then start without compiling.
///
/// # Errors
/// It finds a fault.
pub async fn prepare(before: &Path, services: &Services) -> anyhow::Result<()> {
    let mut check = AssayProcess::spawn_program(before, &["check"], &services.operator());
    let status = check.wait_however_long().await;
    ensure!(status.success(), "`assay check` of the revision before: {:?}", check.stdout());
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::scenarios::runs::RUNS;

    /// Returns what every run rolls: worker, end and revision.
    fn runs() -> impl Iterator<Item = Vec<(Slot, Drain, Revision)>> {
        RUNS.into_iter().map(|(duration, times)| {
            let mut steps = steps(&mut StdRng::seed_from_u64(3), duration, &times);
            steps.retain(|step| step.at < duration);
            let roll = |step: Step| match step.action {
                Action::Roll(slot, drain, revision) => (slot, drain, revision),
                other => panic!("{other}"),
            };
            steps.into_iter().map(roll).collect()
        })
    }

    #[test]
    fn every_run_rolls_all_workers_forward_and_back() {
        for rolls in runs() {
            for revision in Revision::ALL {
                let slots: Vec<_> = (rolls.iter().filter(|roll| roll.2 == revision)).map(|roll| roll.0).collect();
                assert!(slots.len() >= WORKERS && slots[..WORKERS].is_sorted(), "{revision}: {slots:?}");
            }
            assert_eq!(rolls[0].2, Revision::This);
        }
    }

    #[test]
    fn every_run_meets_every_kind_of_end() {
        for rolls in runs() {
            for drain in [Drain::Whole, Drain::GiveBack, Drain::Cut] {
                assert!(rolls.iter().any(|roll| roll.1 == drain), "{drain:?} in {rolls:?}");
            }
        }
    }

    #[test]
    fn every_run_leaves_jobs_of_each_revision_to_the_other() {
        for rolls in runs() {
            for revision in Revision::ALL {
                // When the last one of a round ends, all others are of the revision that it is exchanged for.
                let leaves = |roll: &&(Slot, Drain, Revision)| roll.0 == WORKERS && roll.1 != Drain::Whole;
                assert!(rolls.iter().filter(leaves).any(|roll| roll.2 == revision), "{revision} in {rolls:?}");
            }
        }
    }
}
