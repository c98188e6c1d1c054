//! No received answer is bought twice: what the stand-in was asked, against the journal.
//!
//! A worker that was stalled past its lease may ask once more, for each question, before it notices: that cannot be seen from outside, and
//! no answer of it is ever journaled. Such calls are counted and shown, and are not what this invariant is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    evidence::{Attempt, Evidence},
    invariants::{claims::Claims, verdict::Verdict},
    ledger::Asked,
};

/// Checks that no call asks what the journal of its job's life has answered already when it arrives. That this can be seen is looked at, too: every
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
        // In any life: an answer is carried over into the next one.
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
            broken.push(format!("job {job}, life {life}, has an answer of {at} without a recorded call"));
        }
    }
    broken.extend((evidence.unread > 0).then(|| format!("{} calls of workers could not be read", evidence.unread)));
    Verdict::new("no received answer was bought twice", evidence.calls.len() + known.len(), broken)
}

/// Returns whether a job was to come again after a claim of whose other answers it is known that they came: no time ran out, and nothing but the
/// model failed.
fn comes_again(attempt: &Attempt) -> bool {
    let code = attempt.code.as_deref().unwrap_or_default();
    matches!(attempt.outcome.as_str(), "retried" | "snoozed")
        && code.starts_with("llm_")
        && !["llm_timeout", "llm_network_error"].contains(&code)
}

/// Checks that every sound answer that a claim got is in the journal when its job is put back because a question beside it failed. Looked at where
/// times are a verdict, because an answer that comes too late does not count.
pub fn every_received_answer_is_in_the_journal(evidence: &Evidence) -> Verdict {
    let name = "every received answer is in the journal";
    if evidence.rescue_bound.is_none() {
        return Verdict::new(name, 0, []);
    }
    let claims = Claims::of(evidence);
    let recorded: BTreeSet<_> =
        evidence.attempts.iter().filter(|end| comes_again(end)).map(|end| (end.job, end.token)).collect();
    let written: BTreeSet<_> =
        evidence.written.iter().map(|entry| (entry.job, entry.token, entry.prompt_sha256.as_slice())).collect();
    let spoiled: BTreeSet<_> = evidence
        .dealt
        .iter()
        .filter_map(|dealt| {
            let job = claims.jobs.get(&dealt.file)?;
            Some((*job, claims.token(*job, dealt.slot, dealt.at)?, dealt.question.as_slice()))
        })
        .collect();
    let (mut checked, mut broken) = (0, Vec::new());
    for call in &evidence.calls {
        let Some(job) = claims.jobs.get(&call.file) else { continue };
        let Some(token) = claims.token(*job, call.slot, call.at) else { continue };
        let answered = (*job, token, call.question.as_slice());
        if !recorded.contains(&(*job, token)) || spoiled.contains(&answered) {
            continue;
        }
        checked += 1;
        if !written.contains(&answered) {
            broken.push(format!("w{} got an answer for job {job} under token {token}, at {}", call.slot, call.at));
        }
    }
    Verdict::new(name, checked, broken)
}

/// Checks that no worker calls for a job that it lost, unless it was stalled. Only where times are a verdict.
pub fn no_call_without_a_claim(evidence: &Evidence) -> Verdict {
    let name = "no call without a claim";
    if evidence.rescue_bound.is_none() {
        return Verdict::new(name, 0, []);
    }
    let claims = Claims::of(evidence);
    let strange = without_claim(&claims, evidence).filter(|(_, stall)| stall.is_none());
    let broken = strange.map(|(call, _)| format!("w{} asked about file {} at {}", call.slot, call.file, call.at));
    Verdict::new(name, evidence.calls.len(), broken)
}

/// Returns calls of workers that had been stalled and did not hold the job when they arrived.
pub fn by_stalled(evidence: &Evidence) -> usize {
    without_claim(&Claims::of(evidence), evidence).filter(|(_, stall)| stall.is_some()).count()
}

/// Returns calls of workers that did not hold the job when they arrived, each with the stall that explains it.
fn without_claim<'a>(
    claims: &'a Claims<'a>,
    evidence: &'a Evidence,
) -> impl Iterator<Item = (&'a Asked, Option<usize>)> {
    evidence.calls.iter().filter_map(|call| {
        let job = *claims.jobs.get(&call.file)?;
        let holds = claims.token(job, call.slot, call.at).is_some();
        (!holds).then(|| (call, claims.woke(evidence, job, call)))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        faults::{met::Dealt, model_trouble::ModelTrouble},
        fleet::Stall,
        invariants::rows::{FILE, asked, at, attempt, claim, end, succeeded, written},
    };

    /// Returns calls without a claim: by those that had been stalled, and by others.
    fn strays(evidence: &Evidence) -> (usize, usize) {
        let judged = Evidence { rescue_bound: Some(Duration::ZERO), ..evidence.clone() };
        (by_stalled(evidence), no_call_without_a_claim(&judged).broken.len())
    }

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
        assert_eq!(strays(&rescued()), (0, 0));
    }

    #[test]
    fn a_call_for_an_answer_that_was_journaled_before_is_seen() {
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
        assert_eq!(strays(&evidence), (0, 1));
        evidence.stalls.push(Stall { slot: 1, from: at(3), to: at(10), claims: 1 });
        assert!(no_received_answer_was_bought_again(&evidence).broken.is_empty());
        assert_eq!(strays(&evidence), (1, 0));
        evidence.calls.push(asked(11, 1));
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1, "it has noticed by then");
    }

    #[test]
    fn an_answer_without_a_recorded_call_is_seen() {
        let mut evidence = rescued();
        evidence.calls.retain(|call| call.at > at(8));
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1);
        let mut evidence = rescued();
        evidence.calls.iter_mut().for_each(|call| call.question = vec![2]);
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1);
    }

    #[test]
    fn a_call_that_cannot_be_read_is_seen() {
        let evidence = Evidence { unread: 1, ..rescued() };
        assert_eq!(no_received_answer_was_bought_again(&evidence).broken.len(), 1);
    }

    #[test]
    fn an_answer_that_came_and_is_not_in_the_journal_is_seen() {
        let mut evidence = succeeded();
        evidence.rescue_bound = Some(Duration::ZERO);
        evidence.attempts = vec![Attempt { code: Some("llm_rate_limited".to_owned()), ..attempt(1, "snoozed") }];
        let verdict = every_received_answer_is_in_the_journal(&evidence);
        assert_eq!((verdict.checked, verdict.broken.len()), (1, 0));
        // A second question of the same claim, of which nothing came.
        evidence.calls.push(Asked { question: vec![2], ..asked(2, 1) });
        assert_eq!(every_received_answer_is_in_the_journal(&evidence).broken.len(), 1);
        let trouble = ModelTrouble::Refused;
        evidence.dealt.push(Dealt { at: at(2), slot: 1, file: FILE, question: vec![2], trouble });
        assert!(every_received_answer_is_in_the_journal(&evidence).broken.is_empty());
    }
}
