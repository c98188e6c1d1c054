//! No received answer is bought twice: what the stand-in was asked, against the journal.
//!
//! A worker that was stalled past its lease may ask once more, for each question, before it notices: nobody can see that from outside, and
//! no answer of it is ever journaled. Such calls are counted and shown, and are not what this invariant is about.

use std::collections::{BTreeMap, BTreeSet};

use super::Verdict;
use super::claims::Claims;
use crate::evidence::Evidence;

/// No call asks what the journal of its job's life has answered already when it arrives. That this can be seen is looked at, too: every
/// answer of the journal has a call before it that asks its question.
pub fn no_received_answer_was_bought_again(evidence: &Evidence) -> Verdict {
    let mut known = BTreeMap::new();
    for entry in &evidence.written {
        // The first time that it was written counts.
        known.entry((entry.job, entry.life, entry.prompt_sha256.as_slice())).or_insert(entry.at);
    }
    let claims = Claims::of(evidence);
    let mut broken = Vec::new();
    let (mut asked, mut late) = (BTreeMap::new(), BTreeSet::new());
    for call in &evidence.calls {
        let Some(job) = claims.jobs.get(&call.file) else {
            broken.push(format!("w{} asked about file {}, which has no job", call.slot, call.file));
            continue;
        };
        // In whatever life: an answer is carried over into the next one.
        asked.entry((*job, call.question.as_slice())).or_insert(call.at);
        let life = claims.life(*job, call.at);
        let received = known.get(&(*job, life, call.question.as_slice())).is_some_and(|at| *at < call.at);
        let woke = claims.woke(evidence, *job, call);
        // Each stall explains one call for each question.
        let excused = woke.is_some_and(|stall| late.insert((stall, *job, call.question.as_slice())));
        if received && !excused {
            broken.push(format!("w{} asked for job {job}, life {life}, at {}", call.slot, call.at));
        }
    }
    for ((job, life, question), at) in &known {
        if asked.get(&(*job, *question)).is_none_or(|asked| asked > at) {
            broken.push(format!("job {job}, life {life}, has an answer of {at} that nobody was seen to ask for"));
        }
    }
    broken.extend((evidence.unread > 0).then(|| format!("{} calls of workers could not be read", evidence.unread)));
    Verdict::new("no received answer was bought twice", evidence.calls.len() + known.len(), broken)
}

/// Calls of workers that did not hold the job when they arrived: by those that had been stalled, and by others.
pub fn without_claim(evidence: &Evidence) -> (usize, usize) {
    let claims = Claims::of(evidence);
    let (mut stalled, mut others) = (0, 0);
    for call in &evidence.calls {
        let Some(job) = claims.jobs.get(&call.file) else { continue };
        if claims.token(*job, call.slot, call.at).is_some() {
        } else if claims.woke(evidence, *job, call).is_some() {
            stalled += 1;
        } else {
            others += 1;
        }
    }
    (stalled, others)
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
        evidence.stalls.push(Stall { slot: 1, from: at(3), to: at(10), claims: 1 });
        assert!(no_received_answer_was_bought_again(&evidence).broken.is_empty());
        assert_eq!(without_claim(&evidence), (1, 0));
        evidence.calls.push(asked(11, 1));
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1, "it has noticed by then");
    }

    #[test]
    fn an_answer_that_nobody_was_seen_to_ask_for_is_told() {
        let mut evidence = rescued();
        evidence.calls.retain(|call| call.at > at(8));
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1);
        let mut evidence = rescued();
        evidence.calls.iter_mut().for_each(|call| call.question = vec![2]);
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1);
    }

    #[test]
    fn a_call_that_cannot_be_read_is_told() {
        let evidence = Evidence { unread: 1, ..rescued() };
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1);
    }
}
