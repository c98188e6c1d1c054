//! Every job has one end, each of its lives had one, and the file says the same.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::{evidence::Evidence, invariants::verdict::Verdict};

fn is_end(status: &str) -> bool {
    matches!(status, "succeeded" | "failed")
}

/// Checks that every job is in a terminal state.
pub fn every_job_has_ended(evidence: &Evidence) -> Verdict {
    let live = evidence.jobs.iter().filter(|job| !is_end(&job.status));
    let broken = live.map(|job| format!("job {} is {} in life {}", job.id, job.status, job.life));
    Verdict::new("every job is in one terminal state", evidence.jobs.len(), broken)
}

/// Checks that every transcript that was handed in has its file and its job.
pub fn everything_handed_in_is_there(evidence: &Evidence, handed_in: &BTreeSet<Uuid>) -> Verdict {
    let files: BTreeSet<_> = evidence.files.iter().map(|file| file.id).collect();
    let with_job: BTreeSet<_> = evidence.jobs.iter().map(|job| job.file).collect();
    let gone = handed_in.iter().filter(|file| !files.contains(file) || !with_job.contains(file));
    Verdict::new("everything that was handed in is there", handed_in.len(), gone.map(|file| format!("file {file}")))
}

/// Checks that each life of a job has one finalization: one change to an end, none from an end but into a new life, and at
/// most one attempt that ended it.
pub fn every_life_is_finalized_once(evidence: &Evidence) -> Verdict {
    let mut ends = BTreeMap::new();
    for job in &evidence.jobs {
        let lives = if is_end(&job.status) { job.life } else { job.life - 1 };
        ends.extend((1..=lives).map(|life| ((job.id, life), (0, 0))));
    }
    let mut broken = Vec::new();
    for change in &evidence.changes {
        if is_end(&change.status_from) && change.status_to != "queued" {
            broken.push(format!("job {} went from {} to {}", change.job, change.status_from, change.status_to));
        } else if is_end(&change.status_to) {
            ends.entry((change.job, change.life)).or_default().0 += 1;
        }
    }
    for attempt in evidence.attempts.iter().filter(|attempt| is_end(&attempt.outcome)) {
        ends.entry((attempt.job, attempt.life)).or_default().1 += 1;
    }
    let checked = ends.len();
    for ((job, life), (changes, attempts)) in ends {
        if changes != 1 || attempts > 1 {
            broken.push(format!("life {life} of job {job} ended {changes} times, and {attempts} attempts ended it"));
        }
    }
    Verdict::new("exactly one finalization per life of a job", checked, broken)
}

/// Checks that each file agrees with its job.
pub fn file_agrees_with_job(evidence: &Evidence) -> Verdict {
    let files: BTreeMap<_, _> = evidence.files.iter().map(|file| (file.id, file)).collect();
    let broken = evidence.jobs.iter().filter_map(|job| {
        let Some(file) = files.get(&job.file) else { return Some(format!("job {} has no file", job.id)) };
        let codes = job.status != "failed" || file.error_code == job.error_code;
        let report = job.status != "succeeded" || (file.report.is_some() && file.error_code.is_none());
        let agrees = file.status == job.status && codes && report;
        (!agrees).then(|| {
            let (code, other) = (&job.error_code, &file.error_code);
            format!("job {} is {} ({code:?}), file {} is {} ({other:?})", job.id, job.status, file.id, file.status)
        })
    });
    Verdict::new("file agrees with job", evidence.jobs.len(), broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::rows::{FILE, attempt, end, failed, succeeded};

    #[test]
    fn what_ended_as_it_should_breaks_nothing() {
        for evidence in [succeeded(), failed("llm_refused")] {
            for verdict in [
                every_job_has_ended(&evidence),
                every_life_is_finalized_once(&evidence),
                file_agrees_with_job(&evidence),
            ] {
                assert_eq!((verdict.checked, verdict.broken.as_slice()), (1, &[][..]), "{}", verdict.name);
            }
        }
    }

    #[test]
    fn a_file_or_a_job_that_is_gone_is_seen() {
        let handed_in = BTreeSet::from([FILE]);
        assert!(everything_handed_in_is_there(&succeeded(), &handed_in).broken.is_empty());
        let (mut without_job, mut without_file) = (succeeded(), succeeded());
        without_job.jobs.clear();
        without_file.files.clear();
        for evidence in [without_job, without_file] {
            assert_eq!(everything_handed_in_is_there(&evidence, &handed_in).broken.len(), 1);
        }
    }

    #[test]
    fn a_job_that_is_still_queued_has_not_ended() {
        let mut evidence = succeeded();
        evidence.jobs[0].status = "queued".to_owned();
        assert_eq!(every_job_has_ended(&evidence).broken.len(), 1);
    }

    #[test]
    fn a_life_that_ends_twice_or_never_is_seen() {
        let mut evidence = succeeded();
        evidence.changes.push(end(5, "w2", "w2-a", 2, "failed"));
        assert_eq!(every_life_is_finalized_once(&evidence).broken.len(), 1);
        let mut evidence = succeeded();
        evidence.changes.pop();
        assert_eq!(every_life_is_finalized_once(&evidence).broken.len(), 1);
        let mut evidence = succeeded();
        evidence.attempts.push(attempt(2, "failed"));
        assert_eq!(every_life_is_finalized_once(&evidence).broken.len(), 1);
    }

    #[test]
    fn an_overwritten_end_is_seen() {
        let mut evidence = succeeded();
        let mut change = end(5, "w2", "w2-a", 1, "failed");
        change.status_from = "succeeded".to_owned();
        evidence.changes.push(change);
        assert_eq!(every_life_is_finalized_once(&evidence).broken.len(), 1);
    }

    #[test]
    fn a_file_that_disagrees_with_its_job_is_seen() {
        let mut evidence = succeeded();
        evidence.files[0].status = "processing".to_owned();
        assert_eq!(file_agrees_with_job(&evidence).broken.len(), 1);
        let mut evidence = failed("llm_refused");
        evidence.files[0].error_code = Some("llm_timeout".to_owned());
        assert_eq!(file_agrees_with_job(&evidence).broken.len(), 1);
    }
}
