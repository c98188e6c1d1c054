//! After a sweep every object is pointed at by a row, and what a row points at is there.

use std::collections::BTreeSet;

use crate::{evidence::Evidence, invariants::verdict::Verdict, old, talk::Kind};

/// Checks that no object is without an owner after a sweep.
pub fn every_object_has_an_owner(evidence: &Evidence) -> Verdict {
    let named: BTreeSet<_> = originals(evidence).chain(made(evidence)).collect();
    // What points at a report points at the guest's notes beside it, too.
    let folders: BTreeSet<_> = made(evidence).filter_map(folder).collect();
    let owned = |key: &str| named.contains(key) || folder(key).is_some_and(|folder| folders.contains(folder));
    // What the other program has left behind is not Assay's to sweep.
    let ours: Vec<_> = evidence.keys.iter().filter(|key| !key.starts_with(old::REPORTS)).collect();
    let broken = ours.iter().filter(|key| !owned(key)).map(|key| (*key).clone());
    Verdict::new("no object without an owner after a sweep", ours.len(), broken)
}

/// Returns what a row points at exists: neither a sweep nor a worker that undid what it had written has taken it away.
pub fn every_object_that_a_row_names_exists(evidence: &Evidence) -> Verdict {
    let named: BTreeSet<_> = originals(evidence).chain(made(evidence)).collect();
    let broken = named.iter().filter(|key| !evidence.keys.contains(**key)).map(|key| (*key).to_owned());
    Verdict::new("every object that a row names exists", named.len(), broken)
}

/// Returns the uploads, but for those that never were.
fn originals(evidence: &Evidence) -> impl Iterator<Item = &str> {
    let missing = Kind::Missing.filename();
    evidence.files.iter().filter(move |file| file.name != missing).map(|file| file.original.as_str())
}

/// Returns what workers have written and rows name.
fn made(evidence: &Evidence) -> impl Iterator<Item = &str> {
    let files = evidence.files.iter().flat_map(|file| file.report.iter().chain(&file.raw));
    let reports = evidence.attempts.iter().filter_map(|attempt| attempt.report.as_ref());
    let answers = evidence.answers.iter().map(|answer| &answer.key);
    files.chain(reports).chain(answers).map(String::as_str)
}

/// Returns the folder of a run that an object lies in.
fn folder(key: &str) -> Option<&str> {
    let (folder, _) = key.rsplit_once('/')?;
    folder.contains("/runs/").then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::rows::{FILE, JOB, succeeded};

    #[test]
    fn an_object_that_no_row_points_at_is_seen() {
        let mut evidence = succeeded();
        let folder = format!("users/{FILE}/files/{FILE}/runs/{JOB}");
        evidence.keys.insert(format!("{folder}-1/notes.json"));
        assert!(every_object_has_an_owner(&evidence).broken.is_empty());
        let lost = [format!("{folder}-2/report.json"), format!("users/{FILE}/files/{FILE}/answers/{JOB}/0-1.json")];
        evidence.keys.extend(lost.clone());
        let mut broken = every_object_has_an_owner(&evidence).broken;
        broken.sort();
        assert_eq!(broken.len(), 2);
        assert!(lost.iter().all(|key| broken.contains(key)));
    }

    #[test]
    fn an_object_that_is_pointed_at_and_gone_is_seen() {
        let mut evidence = succeeded();
        assert!(every_object_that_a_row_names_exists(&evidence).broken.is_empty());
        evidence.keys.pop_first();
        assert_eq!(every_object_that_a_row_names_exists(&evidence).broken.len(), 1);
    }

    #[test]
    fn an_upload_that_never_was_is_not_missed() {
        let mut evidence = succeeded();
        evidence.keys.retain(|key| !key.ends_with("original.txt"));
        evidence.files[0].name = Kind::Missing.filename();
        assert!(every_object_that_a_row_names_exists(&evidence).broken.is_empty());
    }
}
