//! No received answer is bought twice: what the stand-in was asked, against the journal.
//!
//! A worker that was stalled past its lease may send one more call before it notices: nobody can see that from outside, and no answer
//! of it is ever journaled. Such calls are counted and shown, and are not what this invariant is about.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Verdict;
use crate::evidence::{Change, Evidence};
use crate::ledger::Asked;
use crate::plan::Slot;

/// No call asks what the journal of its job's life has answered already when it arrives.
pub fn no_received_answer_was_bought_again(evidence: &Evidence) -> Verdict {
    let mut known = BTreeMap::new();
    for entry in &evidence.written {
        // The first time that it was written counts.
        known.entry((entry.job, entry.life, entry.prompt_sha256.as_slice())).or_insert(entry.at);
    }
    let claims = Claims::of(evidence);
    let mut broken = Vec::new();
    for call in &evidence.calls {
        let Some(job) = claims.jobs.get(&call.file) else { continue };
        let life = claims.life(*job, call.at);
        let received = known.get(&(*job, life, call.question.as_slice())).is_some_and(|at| *at < call.at);
        if received && !claims.woke(evidence, *job, call) {
            broken.push(format!("w{} asked for job {job}, life {life}, at {}", call.slot, call.at));
        }
    }
    Verdict::new("no received answer was bought twice", evidence.calls.len(), broken)
}

/// Calls of workers that did not hold the job when they arrived: by those that had been stalled, and by others.
pub fn without_claim(evidence: &Evidence) -> (usize, usize) {
    let claims = Claims::of(evidence);
    let (mut stalled, mut others) = (0, 0);
    for call in &evidence.calls {
        let Some(job) = claims.jobs.get(&call.file) else { continue };
        if claims.holds(*job, call.slot, call.at) {
        } else if claims.woke(evidence, *job, call) {
            stalled += 1;
        } else {
            others += 1;
        }
    }
    (stalled, others)
}

struct Claims<'a> {
    jobs: BTreeMap<Uuid, Uuid>,
    changes: BTreeMap<Uuid, Vec<&'a Change>>,
}

impl<'a> Claims<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        Self { jobs: evidence.job_of(), changes: evidence.changes_of() }
    }

    fn before(&self, job: Uuid, at: OffsetDateTime) -> Option<&'a Change> {
        self.changes.get(&job)?.iter().rev().find(|change| change.at <= at).copied()
    }

    /// The life that a job was in.
    fn life(&self, job: Uuid, at: OffsetDateTime) -> i32 {
        self.before(job, at).map_or(1, |change| change.life)
    }

    /// Whether a worker held a job.
    fn holds(&self, job: Uuid, slot: Slot, at: OffsetDateTime) -> bool {
        self.before(job, at).and_then(|change| change.holder_to.as_deref()).is_some_and(|holder| is_of(holder, slot))
    }

    /// Whether the claim behind a call was lost while its worker was stalled.
    fn woke(&self, evidence: &Evidence, job: Uuid, call: &Asked) -> bool {
        let lost = |from, to| {
            let changes = self.changes.get(&job).into_iter().flatten();
            changes
                .filter(|change| change.holder_from.as_deref().is_some_and(|holder| is_of(holder, call.slot)))
                .any(|change| change.status_from == "processing" && (from..=to).contains(&change.at))
        };
        !self.holds(job, call.slot, call.at)
            && evidence
                .stalls
                .iter()
                .any(|stall| stall.slot == call.slot && stall.to <= call.at && lost(stall.from, stall.to))
    }
}

/// Whether the worker of this name is in that place.
pub(super) fn is_of(holder: &str, slot: Slot) -> bool {
    holder.strip_prefix('w').and_then(|rest| rest.split_once('-')).is_some_and(|(number, _)| number == slot.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::rows::{asked, at, claim, end, succeeded, written};
    use super::*;
    use crate::fleet::Stall;

    /// Claimed by w1, which was lost without an answer; w2 received it and finished.
    fn rescued() -> Evidence {
        Evidence {
            changes: vec![
                claim(1, "w1-a", 1),
                end(5, "w2", "w1-a", 1, "queued"),
                claim(6, "w2-a", 2),
                end(9, "w2", "w2-a", 2, "succeeded"),
            ],
            calls: vec![asked(2, 1), asked(7, 2)],
            written: vec![written(8, "w2-a")],
            ..succeeded()
        }
    }

    #[test]
    fn a_call_that_was_in_flight_when_its_worker_died_may_be_made_again() {
        assert!(no_received_answer_was_bought_again(&rescued()).broken.is_empty());
        assert_eq!(without_claim(&rescued()), (0, 0));
    }

    #[test]
    fn a_call_for_an_answer_that_was_journaled_before_is_told() {
        let mut evidence = rescued();
        evidence.written.insert(0, written(3, "w1-a"));
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1);
    }

    #[test]
    fn the_same_question_in_another_life_is_another_purchase() {
        let mut evidence = rescued();
        evidence.written.insert(0, written(3, "w1-a"));
        evidence.changes[1].life = 2;
        evidence.changes[2].life = 2;
        assert!(no_received_answer_was_bought_again(&evidence).broken.is_empty());
    }

    #[test]
    fn a_call_of_a_worker_that_had_been_stalled_is_counted_apart() {
        let mut evidence = rescued();
        evidence.calls.push(asked(10, 1));
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1);
        assert_eq!(without_claim(&evidence), (0, 1));
        evidence.stalls.push(Stall { slot: 1, from: at(3), to: at(10) });
        assert!(no_received_answer_was_bought_again(&evidence).broken.is_empty());
        assert_eq!(without_claim(&evidence), (1, 0));
    }

    #[test]
    fn w1_is_not_w12() {
        assert!(is_of("w1-7-a", 1) && !is_of("w12-7-a", 1) && !is_of("host-7-a", 1));
    }
}
