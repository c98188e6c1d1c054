//! Jobs that go from the workers of one revision to those of the other, with their answers.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::{
    evidence::{Evidence, Written},
    invariants::claims::Claims,
    revision::Revision,
};

/// Returns the revision of a holder: a worker's id, and what the worker adds to it.
pub fn revision_of(evidence: &Evidence, holder: &str) -> Option<Revision> {
    let mut parts = holder.splitn(3, '-');
    let (slot, number) = (parts.next()?, parts.next()?);
    evidence.revisions.get(&format!("{slot}-{number}")).copied()
}

/// Returns the revision that made each claim, by job and token.
pub fn claimants(evidence: &Evidence) -> BTreeMap<(Uuid, i64), Revision> {
    let claims = evidence.changes.iter().filter(|change| change.status_to == "processing");
    claims
        .filter_map(|change| {
            let revision = revision_of(evidence, change.holder_to.as_deref()?)?;
            Some(((change.job, change.token), revision))
        })
        .collect()
}

/// Returns how many lives of jobs were attempted by both revisions.
pub fn jobs_of_both(evidence: &Evidence) -> usize {
    let claimants = claimants(evidence);
    let mut revisions: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for attempt in &evidence.attempts {
        let Some(revision) = claimants.get(&(attempt.job, attempt.token)) else { continue };
        revisions.entry((attempt.job, attempt.life)).or_default().insert(*revision);
    }
    revisions.values().filter(|revisions| revisions.len() == Revision::ALL.len()).count()
}

/// Returns how many answers of the other revision this one used: its claim came to an end that takes the answers of all questions, and
/// did not ask this one.
pub fn answers_taken_over(evidence: &Evidence, by: Revision) -> usize {
    let claims = Claims::of(evidence);
    let claimants = claimants(evidence);
    let asked: BTreeSet<_> = evidence
        .calls
        .iter()
        .filter_map(|call| {
            let job = *claims.jobs.get(&call.file)?;
            Some((job, claims.token(job, call.slot, call.at)?, call.question.as_slice()))
        })
        .collect();
    let taken_over = |entry: &&Written| {
        // Of no worker, or of one of the same revision.
        if claimants.get(&(entry.job, entry.token)).is_none_or(|buyer| *buyer == by) {
            return false;
        }
        evidence.attempts.iter().any(|attempt| {
            let of_this_life = attempt.job == entry.job && attempt.life == entry.life && attempt.token > entry.token;
            let takes_all =
                attempt.outcome == "succeeded" || attempt.code.as_deref() == Some("schema_validation_failed");
            let by_this = claimants.get(&(attempt.job, attempt.token)) == Some(&by);
            let asked = asked.contains(&(attempt.job, attempt.token, entry.prompt_sha256.as_slice()));
            of_this_life && takes_all && by_this && !asked
        })
    };
    let used: BTreeSet<_> =
        evidence.written.iter().filter(taken_over).map(|entry| (entry.job, entry.life, entry.ordinal)).collect();
    used.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::rows::{asked, attempt, claim, end, succeeded, written};

    /// Bought by a worker of one revision, which gave the job back; finished by one of another.
    fn handed_over(revisions: [Revision; 2]) -> Evidence {
        Evidence {
            attempts: vec![attempt(1, "released"), attempt(2, "succeeded")],
            changes: vec![
                claim(1, "w1-1-a", 1),
                end(4, "w1-1", "w1-1-a", 1, "queued"),
                claim(5, "w2-1-b", 2),
                end(9, "w2-1", "w2-1-b", 2, "succeeded"),
            ],
            written: vec![written(3, "w1-1-a")],
            revisions: [("w1-1".to_owned(), revisions[0]), ("w2-1".to_owned(), revisions[1])].into(),
            ..succeeded()
        }
    }

    #[test]
    fn a_job_and_its_answer_that_the_other_revision_takes_over_count() {
        for [buyer, user] in [[Revision::Before, Revision::This], [Revision::This, Revision::Before]] {
            let evidence = handed_over([buyer, user]);
            assert_eq!((jobs_of_both(&evidence), answers_taken_over(&evidence, user)), (1, 1));
            assert_eq!(answers_taken_over(&evidence, buyer), 0);
        }
        let evidence = handed_over([Revision::This; 2]);
        assert_eq!((jobs_of_both(&evidence), answers_taken_over(&evidence, Revision::This)), (0, 0));
    }

    #[test]
    fn an_answer_that_is_bought_again_or_not_taken_does_not_count() {
        let mut evidence = handed_over([Revision::Before, Revision::This]);
        evidence.calls.push(asked(6, 2));
        assert_eq!(answers_taken_over(&evidence, Revision::This), 0);
        let mut evidence = handed_over([Revision::Before, Revision::This]);
        evidence.attempts[1] = attempt(2, "lost");
        assert_eq!((jobs_of_both(&evidence), answers_taken_over(&evidence, Revision::This)), (1, 0));
    }
}
