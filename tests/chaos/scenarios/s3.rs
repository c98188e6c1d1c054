//! `s3`: the bucket fails, throttles, resets, stalls, takes what it does not confirm, and does not delete.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::ensure;
use assay_tests::{Fault, Operation};
use rand::{Rng, rngs::StdRng};

use crate::{
    faults::bucket::{BucketFault, BucketTrouble},
    quiet,
    scenarios::turns::{Turn, rounds},
    stage::Stage,
    step::{Action, Step},
    times::Times,
};

/// Plans every trouble in each round. A stall lasts for as long as a worker waits for it, so that some are met from beginning to end.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    rounds(dice, duration, times.blow * 2, |dice| {
        let turn = |trouble| {
            let action = Action::Bucket(BucketFault { trouble, seed: dice.random() });
            if trouble == BucketTrouble::Stall { Turn::at_least(action, times.s3) } else { Turn::of(action) }
        };
        BucketTrouble::ALL.into_iter().map(turn).collect()
    })
}

/// Sweeps a bucket that does not delete every second object: the sweep goes on, says so, and leaves them to the next one. Returns how
/// many went.
///
/// # Errors
/// If the sweep fails as a whole.
pub async fn sweep_half_in_vain(stage: &Stage, patience: Duration) -> anyhow::Result<u64> {
    let deleted = AtomicUsize::new(0);
    stage.services.objects.decide(move |asked| {
        let refused = asked.operation == Operation::Delete && deleted.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        refused.then_some(Fault::Status { status: 403, code: "AccessDenied" })
    });
    let swept = quiet::try_to_sweep(stage, "sweep-half-in-vain", patience).await?;
    stage.services.objects.clear_faults();
    let (went, stayed) = (swept.deleted, swept.failed);
    ensure!(
        stayed == went || stayed == went + 1,
        "{went} objects went and {stayed} stayed, though every second one had to stay"
    );
    stage.met.count(&"DELETE of a sweep that fails", usize::try_from(stayed)?);
    Ok(went)
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
            let steps = plan(3, Scenario::S3, duration, &times);
            for wanted in BucketTrouble::ALL {
                let is_it = |step: &&Step| matches!(step.action, Action::Bucket(fault) if fault.trouble == wanted);
                let step = steps.iter().find(is_it).unwrap_or_else(|| panic!("{wanted} in {duration:?}"));
                assert!(wanted != BucketTrouble::Stall || step.lasts >= times.s3);
            }
        }
    }
}
