//! No process writes under a claim that it has lost.

use std::collections::BTreeSet;

use crate::{
    evidence::{Beat, Change, Evidence},
    invariants::verdict::Verdict,
    old,
};

/// Codes of jobs that the reaper ends without a claim.
const BY_REAPER: [&str; 2] = ["cancelled", "version_not_available"];

/// Returns whether the writer is a worker, and not the run itself or an operator.
fn is_worker(actor: &str) -> bool {
    ["w", "old"]
        .iter()
        .any(|kind| actor.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit())))
}

/// Returns whether a holder's name is that of the process which wrote: another process in the same place has another one.
fn is_by(holder: &str, actor: &str) -> bool {
    holder.strip_prefix(actor).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Checks that no process changes a job that it does not hold, but for what is taken back from a silent one in the open and when its lease has
/// run out; and no answer in its journal, nor one under another token than that of the claim.
pub fn no_stale_write(evidence: &Evidence) -> Verdict {
    let lost: BTreeSet<_> = evidence
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == "lost")
        .map(|attempt| (attempt.job, attempt.token))
        .collect();
    let changes = evidence.changes.iter().filter(|change| is_worker(&change.actor));
    let mut broken: Vec<_> = changes
        .filter_map(|change| {
            let fault = fault(change, lost.contains(&(change.job, change.token)))?;
            let Change { actor, job, token, status_from, status_to, holder_from, holder_to, .. } = change;
            Some(format!(
                "{actor} {fault}: job {job}, {status_from} by {holder_from:?}, became {status_to} by {holder_to:?} under {token}"
            ))
        })
        .collect();
    for entry in evidence.written.iter().filter(|entry| is_worker(&entry.actor)) {
        let holds = entry.holder.as_deref().is_some_and(|holder| is_by(holder, &entry.actor));
        if !holds || entry.held != Some(entry.token) {
            let (actor, job) = (&entry.actor, entry.job);
            let (token, holder, held) = (entry.token, &entry.holder, entry.held);
            broken.push(format!("{actor} journaled for job {job} under {token}, held by {holder:?} under {held:?}"));
        }
    }
    for change in evidence.file_changes.iter().filter(|change| is_worker(&change.actor) && !change.with_job) {
        broken.push(format!("{} changed file {} and not its job", change.actor, change.file));
    }
    broken.extend(evidence.strange_beats.iter().map(|beat| {
        let Beat { actor, job, holder } = beat;
        format!("{actor} beat for job {job}, held by {holder:?}")
    }));
    let looked_at = evidence.changes.len() + evidence.file_changes.len() + evidence.written.len();
    Verdict::new("no stale write", looked_at, broken)
}

/// Returns what is wrong with a worker's change of a job; `lost` is one of a claim that was taken back in the open.
fn fault(change: &Change, lost: bool) -> Option<&'static str> {
    let holds = |holder: &String| is_by(holder, &change.actor);
    if change.holder_to.as_ref().is_some_and(|holder| !holds(holder)) {
        return Some("claimed for another one");
    }
    let Some(holder) = &change.holder_from else {
        let claims = change.status_from == "queued" && change.status_to == "processing";
        let ends =
            change.status_from == "queued" && change.code.as_deref().is_some_and(|code| BY_REAPER.contains(&code));
        return (!claims && !ends).then_some("wrote under no claim");
    };
    // The other program takes over what does not beat, without a word.
    let taken_over = change.status_to == "processing" && change.holder_to.as_ref() != Some(holder);
    if !lost && !taken_over {
        return (!holds(holder)).then_some("wrote under another's claim");
    }
    change.lease_until.is_none_or(|until| change.at < until).then_some("took back what was still leased")
}

/// Checks that `storage_key_report` names the folder of the token that succeeded.
pub fn every_report_is_the_winners(evidence: &Evidence) -> Verdict {
    let won: BTreeSet<_> = evidence
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == "succeeded")
        .map(|attempt| format!("/runs/{}-{}/report.json", attempt.job, attempt.token))
        .collect();
    // The other program's are named by who made them.
    let others = evidence.changes.iter().filter(|change| change.status_to == "succeeded");
    let others: BTreeSet<_> = others
        .filter_map(|change| Some(format!("{}{}-{}.json", old::REPORTS, change.job, change.holder_from.as_ref()?)))
        .collect();
    let wins = |key: &str| key.find("/runs/").is_some_and(|at| won.contains(&key[at..])) || others.contains(key);
    let named = evidence.files.iter().filter_map(|file| file.report.as_ref());
    let written = evidence.file_changes.iter().filter(|change| change.report_to != change.report_from);
    let keys: Vec<_> = named.chain(written.filter_map(|change| change.report_to.as_ref())).collect();
    let broken = keys.iter().filter(|key| !wins(key)).map(|key| format!("{key} is of a claim that did not succeed"));
    Verdict::new("every report is of the claim that succeeded", keys.len(), broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::FileChange,
        invariants::rows::{FILE, JOB, at, attempt, change, claim, end, failed, succeeded, written},
    };

    #[test]
    fn a_reaper_that_says_so_may_write_under_anothers_claim() {
        let mut evidence = succeeded();
        evidence.changes = vec![claim(1, "w1-a", 1), end(5, "w2", "w1-a", 1, "queued")];
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
        evidence.attempts = vec![attempt(1, "lost")];
        assert!(no_stale_write(&evidence).broken.is_empty());
    }

    #[test]
    fn a_claim_that_is_taken_back_too_early_is_seen() {
        let mut evidence = succeeded();
        evidence.changes = vec![claim(1, "w1-a", 1), end(5, "w2", "w1-a", 1, "queued")];
        evidence.attempts = vec![attempt(1, "lost")];
        evidence.changes[1].lease_until = Some(at(6));
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
        evidence.changes[1].lease_until = None;
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
    }

    #[test]
    fn a_process_writes_under_no_claim_of_its_successor() {
        let mut evidence = succeeded();
        evidence.changes = vec![claim(1, "w1-2-a", 1), end(4, "w1-2", "w1-2-a", 1, "succeeded")];
        evidence.changes[0].actor = "w1-2".to_owned();
        assert!(no_stale_write(&evidence).broken.is_empty());
        evidence.changes[1].actor = "w1-1".to_owned();
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
    }

    #[test]
    fn an_end_without_a_claim_is_seen_unless_it_is_the_reapers() {
        let mut evidence = succeeded();
        evidence.changes = vec![change(5, "w2", 1, ("queued", None), ("failed", None))];
        evidence.changes[0].code = Some("llm_refused".to_owned());
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
        evidence.changes[0].code = Some("cancelled".to_owned());
        assert!(no_stale_write(&evidence).broken.is_empty());
    }

    #[test]
    fn a_settlement_by_another_process_than_the_holder_is_seen() {
        let mut evidence = succeeded();
        evidence.changes[1].actor = "w2".to_owned();
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
    }

    #[test]
    fn another_program_may_take_over_what_does_not_beat() {
        let by_old = |change: Change| Change { actor: "old1".to_owned(), ..change };
        let mut evidence = succeeded();
        let taken = Change {
            holder_from: Some("w1-a".to_owned()),
            status_from: "processing".to_owned(),
            lease_until: Some(at(5)),
            ..claim(5, "old1-b", 2)
        };
        evidence.changes = vec![claim(1, "w1-a", 1), by_old(taken), by_old(end(9, "old1", "old1-b", 2, "succeeded"))];
        assert!(no_stale_write(&evidence).broken.is_empty());
        evidence.changes[2].holder_from = Some("w1-a".to_owned());
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
        evidence.changes.pop();
        evidence.changes[1].lease_until = Some(at(6));
        assert_eq!(no_stale_write(&evidence).broken.len(), 1, "it was still leased");
    }

    #[test]
    fn an_answer_by_another_process_than_the_holder_is_seen() {
        let mut evidence = succeeded();
        evidence.written.push(written(3, "w1-a"));
        assert!(no_stale_write(&evidence).broken.is_empty());
        evidence.written[0].actor = "w2".to_owned();
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
    }

    #[test]
    fn an_answer_under_an_earlier_token_of_the_same_process_is_seen() {
        let mut evidence = succeeded();
        evidence.written[0].token = 0;
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
    }

    #[test]
    fn a_file_changed_without_its_job_and_a_strange_beat_are_seen() {
        let mut evidence = succeeded();
        let change =
            |with_job| FileChange { actor: "w1".to_owned(), file: FILE, with_job, report_from: None, report_to: None };
        evidence.file_changes.push(change(true));
        assert!(no_stale_write(&evidence).broken.is_empty());
        evidence.file_changes.push(change(false));
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
        evidence.strange_beats.push(Beat { actor: "w2".to_owned(), job: JOB, holder: Some("w1-a".to_owned()) });
        assert_eq!(no_stale_write(&evidence).broken.len(), 2);
    }

    #[test]
    fn a_report_of_a_claim_that_did_not_succeed_is_seen() {
        assert!(every_report_is_the_winners(&succeeded()).broken.is_empty());
        let mut evidence = failed("llm_refused");
        evidence.files[0].report = succeeded().files[0].report.clone();
        assert_eq!(every_report_is_the_winners(&evidence).broken.len(), 1);
    }
}
