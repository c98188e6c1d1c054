//! A dead worker's job runs again in time.

use std::time::Duration;

use crate::{
    evidence::{Change, Evidence},
    fleet::Death,
    invariants::{claims::is_of, verdict::Verdict},
};

/// A job that a dead worker held, and when it was claimed again or ended.
struct Rescue<'a> {
    death: Death,
    lost: &'a Change,
    after: Option<Duration>,
}

/// Checks that every job that a dead worker held is claimed again, in time where times are a verdict, or has ended by then.
pub fn a_dead_workers_job_runs_again_in_time(evidence: &Evidence) -> Verdict {
    let rescues = rescues(evidence);
    let bound = evidence.rescue_bound.unwrap_or(Duration::MAX);
    let late = |rescue: &&Rescue<'_>| rescue.after.is_none_or(|after| after > bound);
    let broken = rescues.iter().filter(late).map(|rescue| {
        let (job, slot, at) = (rescue.lost.job, rescue.death.slot, rescue.death.at);
        format!("job {job} of w{slot}, dead at {at}: {:?}", rescue.after)
    });
    Verdict::new("a dead worker's job runs again in time", rescues.len(), broken)
}

/// Returns how many jobs dead workers held.
pub fn held_by_the_dead(evidence: &Evidence) -> usize {
    rescues(evidence).len()
}

/// Returns the longest that a dead worker's job has waited.
pub fn slowest(evidence: &Evidence) -> Option<Duration> {
    rescues(evidence).iter().filter_map(|rescue| rescue.after).max()
}

fn rescues(evidence: &Evidence) -> Vec<Rescue<'_>> {
    let changes = evidence.changes_of();
    let mut rescues = Vec::new();
    for (number, death) in evidence.deaths.iter().enumerate() {
        // What the one before in the same place held is not this one's.
        let born =
            evidence.deaths[..number].iter().filter(|other| other.slot == death.slot).map(|other| other.at).max();
        for changes in changes.values() {
            let before = changes.partition_point(|change| change.at <= death.at);
            let Some(lost) = changes[..before].last() else { continue };
            let held = lost.holder_to.as_deref().is_some_and(|holder| is_of(holder, death.slot));
            if !held || born.is_some_and(|born| lost.at < born) {
                continue;
            }
            let taken = changes[before..].iter().find(|change| change.status_to != "queued");
            let after = taken.and_then(|change| (change.at - death.at).try_into().ok());
            rescues.push(Rescue { death: *death, lost, after });
        }
    }
    rescues
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::rows::{at, claim, end, succeeded};

    #[test]
    fn a_job_that_waits_for_too_long_is_seen() {
        let rescued = |second| {
            let mut evidence = succeeded();
            evidence.rescue_bound = Some(Duration::from_secs(16));
            evidence.deaths = vec![Death { slot: 1, at: at(3) }];
            evidence.changes = vec![claim(1, "w1-a", 1), end(9, "w2", "w1-a", 1, "queued"), claim(second, "w2-a", 2)];
            evidence
        };
        assert!(a_dead_workers_job_runs_again_in_time(&rescued(10)).broken.is_empty());
        assert_eq!(slowest(&rescued(10)), Some(Duration::from_secs(7)));
        assert_eq!(a_dead_workers_job_runs_again_in_time(&rescued(20)).broken.len(), 1);
        let mut among_tests = rescued(20);
        among_tests.rescue_bound = None;
        assert!(a_dead_workers_job_runs_again_in_time(&among_tests).broken.is_empty());
        among_tests.changes.truncate(2);
        assert_eq!(a_dead_workers_job_runs_again_in_time(&among_tests).broken.len(), 1, "it never ran again");
    }

    #[test]
    fn the_next_worker_in_the_place_of_a_dead_one_held_nothing_of_it() {
        let mut evidence = succeeded();
        evidence.rescue_bound = Some(Duration::from_secs(16));
        evidence.deaths = vec![Death { slot: 1, at: at(3) }, Death { slot: 1, at: at(4) }];
        evidence.changes = vec![claim(1, "w1-a", 1), end(9, "w2", "w1-a", 1, "queued"), claim(10, "w2-b", 2)];
        assert_eq!(a_dead_workers_job_runs_again_in_time(&evidence).checked, 1);
    }

    #[test]
    fn a_job_that_the_dead_worker_did_not_hold_is_not_looked_at() {
        let mut evidence = succeeded();
        evidence.deaths = vec![Death { slot: 2, at: at(3) }, Death { slot: 1, at: at(6) }];
        assert_eq!(a_dead_workers_job_runs_again_in_time(&evidence).checked, 0);
    }
}
