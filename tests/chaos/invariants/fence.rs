//! Nobody writes under a claim that is not its own any more.

use std::collections::BTreeSet;

use super::Verdict;
use super::purchases::is_of;
use crate::evidence::Evidence;
use crate::old;
use crate::plan::Slot;

/// The place of the worker behind a role; none for the run itself and its operators.
fn slot(actor: &str) -> Option<Slot> {
    actor.strip_prefix('w')?.parse().ok()
}

/// No change of a job by a worker that does not hold it, but for what a reaper does in the open, and no answer in its journal.
pub fn no_stale_write(evidence: &Evidence) -> Verdict {
    let lost: BTreeSet<_> = evidence
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == "lost")
        .map(|attempt| (attempt.job, attempt.token))
        .collect();
    let mut broken = Vec::new();
    for change in &evidence.changes {
        let (Some(slot), Some(holder)) = (slot(&change.actor), &change.holder_from) else { continue };
        if !is_of(holder, slot) && !lost.contains(&(change.job, change.token)) {
            let (job, token) = (change.job, change.token);
            broken
                .push(format!("{} made job {job}, held by {holder} under {token}, {}", change.actor, change.status_to));
        }
    }
    for change in &evidence.changes {
        let (Some(slot), Some(holder)) = (slot(&change.actor), &change.holder_to) else { continue };
        if !is_of(holder, slot) {
            broken.push(format!("{} claimed job {} for {holder}", change.actor, change.job));
        }
    }
    for change in evidence.changes.iter().filter(|change| change.actor.starts_with("old")) {
        let Some(holder) = &change.holder_from else { continue };
        // It takes over what does not beat, and ends what is its own.
        let takes_over = change.status_to == "processing" && change.holder_to.as_ref() != Some(holder);
        if !takes_over && !holder.starts_with(&format!("{}-", change.actor)) {
            broken.push(format!("{} made job {}, held by {holder}, {}", change.actor, change.job, change.status_to));
        }
    }
    for entry in &evidence.written {
        let Some(slot) = slot(&entry.actor) else { continue };
        if !entry.holder.as_deref().is_some_and(|holder| is_of(holder, slot)) {
            broken.push(format!("{} journaled for job {}, held by {:?}", entry.actor, entry.job, entry.holder));
        }
    }
    Verdict::new("no stale write", evidence.changes.len() + evidence.written.len(), broken)
}

/// `storage_key_report` names the folder of the token that succeeded.
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
    use super::super::rows::{attempt, claim, end, failed, succeeded, written};
    use super::*;
    use crate::evidence::Change;

    #[test]
    fn a_reaper_that_says_so_may_write_under_anothers_claim() {
        let mut evidence = succeeded();
        evidence.changes = vec![claim(1, "w1-a", 1), end(5, "w2", "w1-a", 1, "queued")];
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
        evidence.attempts = vec![attempt(1, "lost")];
        assert!(no_stale_write(&evidence).broken.is_empty());
    }

    #[test]
    fn a_settlement_by_somebody_else_than_the_holder_is_told() {
        let mut evidence = succeeded();
        evidence.changes[1].actor = "w2".to_owned();
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
    }

    #[test]
    fn another_program_may_take_over_what_does_not_beat_and_end_what_is_its_own() {
        let by_old = |change: Change| Change { actor: "old1".to_owned(), ..change };
        let mut evidence = succeeded();
        let taken = Change {
            holder_from: Some("w1-a".to_owned()),
            status_from: "processing".to_owned(),
            ..claim(5, "old1-b", 2)
        };
        evidence.changes = vec![claim(1, "w1-a", 1), by_old(taken), by_old(end(9, "old1", "old1-b", 2, "succeeded"))];
        assert!(no_stale_write(&evidence).broken.is_empty());
        evidence.changes[2].holder_from = Some("w1-a".to_owned());
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
    }

    #[test]
    fn an_answer_by_somebody_else_than_the_holder_is_told() {
        let mut evidence = succeeded();
        evidence.written.push(written(3, "w1-a"));
        assert!(no_stale_write(&evidence).broken.is_empty());
        evidence.written[0].actor = "w2".to_owned();
        assert_eq!(no_stale_write(&evidence).broken.len(), 1);
    }

    #[test]
    fn a_report_of_a_claim_that_did_not_succeed_is_told() {
        assert!(every_report_is_the_winners(&succeeded()).broken.is_empty());
        let mut evidence = failed("llm_refused");
        evidence.files[0].report = succeeded().files[0].report.clone();
        assert_eq!(every_report_is_the_winners(&evidence).broken.len(), 1);
    }
}
