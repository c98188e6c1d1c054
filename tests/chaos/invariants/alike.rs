//! A transcript of a kind ends in the same way, whichever revision ends it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    evidence::{Attempt, Evidence, File},
    invariants::{handover::claimants, verdict::Verdict},
    revision::Revision,
};

/// Codes of what may happen to any transcript at any time: operators cancel, workers die, and a busy machine is slow.
const PASSING: [&str; 7] = [
    "cancelled",
    "worker_lost",
    "llm_timeout",
    "llm_network_error",
    "guest_timeout",
    "s3_read_failed",
    "s3_write_failed",
];

/// Fields of an end with every value that a revision gave them.
type Values = BTreeMap<String, BTreeMap<Revision, BTreeSet<String>>>;

/// Checks that both revisions end transcripts of one kind, on one guest, alike: with the same status, code, schema version and report,
/// and with the same members in `raw_llm_output.json`. What only one of them ended is not looked at.
pub fn both_revisions_end_a_kind_alike(evidence: &Evidence) -> Verdict {
    let claimants = claimants(evidence);
    let jobs = evidence.job_rows();
    let mut kinds: BTreeMap<_, Values> = BTreeMap::new();
    for file in &evidence.files {
        let Some(job) = jobs.get(&file.id) else { continue };
        let ends = evidence.attempts.iter().filter(|attempt| attempt.job == job.id && is_end(attempt));
        for attempt in ends {
            let Some(revision) = claimants.get(&(attempt.job, attempt.token)) else { continue };
            let values = kinds.entry((file.name.as_str(), attempt.guest.as_deref())).or_default();
            for (field, value) in fields(evidence, file, attempt) {
                values.entry(field).or_default().entry(*revision).or_default().insert(value);
            }
        }
    }
    let (mut checked, mut broken) = (0, Vec::new());
    for ((name, guest), values) in &kinds {
        // Every end has a status, so this tells who ended one.
        if values.get(STATUS).is_none_or(|by| by.len() < Revision::ALL.len()) {
            continue;
        }
        checked += 1;
        let guest = guest.and_then(|digest| digest.get(..12)).unwrap_or("no guest");
        for (field, by) in values {
            // A document is there only where its file still names it.
            let (Some(before), Some(this)) = (by.get(&Revision::Before), by.get(&Revision::This)) else { continue };
            if before != this {
                broken.push(format!(
                    "{name} on {guest}: {field} is {before:?} by the revision before, {this:?} by this one"
                ));
            }
        }
    }
    Verdict::new("both revisions end a kind alike", checked, broken)
}

const STATUS: &str = "status";

fn is_end(attempt: &Attempt) -> bool {
    let passes = attempt.code.as_deref().is_some_and(|code| PASSING.contains(&code));
    matches!(attempt.outcome.as_str(), "succeeded" | "failed") && !passes
}

/// Returns what is compared of an end. Documents are there where the file still names them.
fn fields(evidence: &Evidence, file: &File, attempt: &Attempt) -> Vec<(String, String)> {
    let mut fields = vec![
        (STATUS.to_owned(), attempt.outcome.clone()),
        ("code".to_owned(), attempt.code.clone().unwrap_or_default()),
    ];
    let report = file.report.as_ref().filter(|key| attempt.report.as_ref() == Some(key));
    if let Some(report) = report.and_then(|key| document(evidence, file, key)) {
        fields.push(("schema version".to_owned(), file.schema_version.clone().unwrap_or_default()));
        fields.push(("members of report".to_owned(), names(&report)));
        fields.extend(members(&report).map(|(name, value)| (format!("report.{name}"), value.to_string())));
    }
    let run = format!("/runs/{}-{}/", attempt.job, attempt.token);
    let raw = file.raw.as_ref().filter(|key| key.contains(&run));
    if let Some(raw) = raw.and_then(|key| document(evidence, file, key)) {
        fields.push(("members of raw_llm_output".to_owned(), names(&raw)));
    }
    fields
}

/// Returns a document without what names its file.
fn document(evidence: &Evidence, file: &File, key: &str) -> Option<Value> {
    let text = String::from_utf8_lossy(evidence.documents.get(key)?);
    serde_json::from_str(&text.replace(&file.id.simple().to_string(), "FILE")).ok()
}

fn members(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document.as_object().into_iter().flatten()
}

fn names(document: &Value) -> String {
    members(document).map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::invariants::rows::{FILE, JOB, attempt, claim, succeeded};

    /// One file that both revisions have brought to its end, one in each life.
    fn ended(ends: [Attempt; 2]) -> Evidence {
        Evidence {
            attempts: ends.into(),
            changes: vec![claim(1, "w1-1-a", 1), claim(5, "w2-1-b", 2)],
            revisions: [("w1-1".to_owned(), Revision::Before), ("w2-1".to_owned(), Revision::This)].into(),
            ..succeeded()
        }
    }

    fn broken(ends: [Attempt; 2]) -> Vec<String> {
        both_revisions_end_a_kind_alike(&ended(ends)).broken
    }

    fn failed(token: i64, code: &str) -> Attempt {
        Attempt { code: Some(code.to_owned()), ..attempt(token, "failed") }
    }

    #[test]
    fn a_kind_that_one_revision_ends_differently_is_seen() {
        let verdict = both_revisions_end_a_kind_alike(&ended([attempt(1, "succeeded"), attempt(2, "succeeded")]));
        assert_eq!((verdict.checked, verdict.broken.len()), (1, 0));
        let status_and_code = broken([attempt(1, "succeeded"), failed(2, "guest_nondeterministic")]);
        assert_eq!(status_and_code.len(), 2, "{status_and_code:?}");
        let code = broken([failed(1, "transcript_empty"), failed(2, "transcript_not_found")]);
        assert_eq!(
            code,
            [
                r#"zqm-accepted.txt on no guest: code is {"transcript_empty"} by the revision before, {"transcript_not_found"} by this one"#
            ]
        );
    }

    #[test]
    fn what_may_befall_any_transcript_and_what_one_revision_ended_are_left_out() {
        let cases = [
            ([attempt(1, "succeeded"), failed(2, "cancelled")], "passing"),
            ([attempt(1, "released"), attempt(2, "succeeded")], "given back"),
            (
                [Attempt { guest: Some("a".repeat(64)), ..attempt(1, "succeeded") }, failed(2, "guest_trap")],
                "another guest",
            ),
        ];
        for (ends, what) in cases {
            let verdict = both_revisions_end_a_kind_alike(&ended(ends));
            assert_eq!((verdict.checked, verdict.broken.len()), (0, 0), "{what}");
        }
    }

    #[test]
    fn a_member_of_a_report_that_differs_is_named() {
        let mut evidence = ended([attempt(1, "succeeded"), attempt(2, "succeeded")]);
        // A second file of the kind, so that a report of each revision is there.
        let other = uuid::Uuid::from_u128(3);
        let job = uuid::Uuid::from_u128(4);
        evidence.files.push(File { id: other, ..evidence.files[0].clone() });
        evidence.jobs.push(crate::evidence::Job { id: job, file: other, ..evidence.jobs[0].clone() });
        evidence.changes[1].job = job;
        for (number, (file, job)) in [(FILE, JOB), (other, job)].into_iter().enumerate() {
            let key = format!("users/{file}/files/{file}/runs/{job}-{}/report.json", number + 1);
            let report = json!({ "overview": format!("zqa-accepted-{}", file.simple()), "risk_level": number });
            evidence.documents.insert(key.clone(), report.to_string().into());
            evidence.files[number].report = Some(key.clone());
            evidence.attempts[number].report = Some(key);
            evidence.attempts[number].job = job;
        }
        assert_eq!(
            both_revisions_end_a_kind_alike(&evidence).broken,
            [r#"zqm-accepted.txt on no guest: report.risk_level is {"0"} by the revision before, {"1"} by this one"#]
        );
    }
}
