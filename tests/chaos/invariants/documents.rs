//! What files point at: reports that satisfy their schema, and the answers of what failed.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    evidence::{Attempt, Evidence, File},
    invariants::verdict::Verdict,
    talk::Marker,
};

/// Codes of an end that an answer has caused: it was received, whatever else is known.
const BY_AN_ANSWER: [&str; 5] =
    ["schema_validation_failed", "llm_output_truncated", "llm_refused", "llm_content_filtered", "report_invalid"];

/// Checks that every `storage_key_report` exists, satisfies its schema, and is about its file.
pub fn every_report_satisfies_its_schema(evidence: &Evidence) -> Verdict {
    let schemas: BTreeMap<_, _> = [
        ("report.v1", include_str!("../../../schemas/report.v1.json")),
        ("report.v2", include_str!("../../../schemas/report.v2.json")),
    ]
    .map(|(version, schema)| (version, validator(schema)))
    .into();
    let reports = evidence.files.iter().filter_map(|file| Some((file, file.report.as_ref()?)));
    let (mut checked, mut broken) = (0, Vec::new());
    for (file, key) in reports {
        checked += 1;
        if let Err(reason) = report(evidence, &schemas, file, key) {
            broken.push(format!("file {}: {key} {reason}", file.id));
        }
    }
    Verdict::new("every report exists, satisfies its schema and is its file's", checked, broken)
}

fn report(
    evidence: &Evidence,
    schemas: &BTreeMap<&str, Validator>,
    file: &File,
    key: &str,
) -> Result<(), &'static str> {
    let bytes = evidence.documents.get(key).ok_or("does not exist")?;
    let report: Value = serde_json::from_slice(bytes).map_err(|_| "is no JSON")?;
    let version = file.schema_version.as_deref().ok_or("has no schema version")?;
    let schema = schemas.get(version).ok_or("has an unknown schema version")?;
    if !schema.is_valid(&report) {
        return Err("does not satisfy its schema");
    }
    match Marker::find(&report.to_string()) {
        Some(marker) if marker.file == file.id => Ok(()),
        _ => Err("is another file's"),
    }
}

/// Checks that every terminal failure that a worker settled after a received answer has its `raw_llm_output.json`, unless the worker said that the
/// bucket did not take it. Where it did not, and where SQL alone ended the job, the journal must still have what it had of that life.
pub fn every_failure_after_an_answer_kept_it(evidence: &Evidence) -> Verdict {
    let jobs = evidence.job_rows();
    let (mut checked, mut broken) = (0, Vec::new());
    for file in evidence.files.iter().filter(|file| file.status == "failed") {
        let Some(job) = jobs.get(&file.id) else { continue };
        let mut attempts = evidence.attempts.iter();
        let end = attempts.find(|end| end.job == job.id && end.life == job.life && end.outcome == "failed");
        let answered = evidence.written.iter().any(|entry| entry.job == job.id && entry.life == job.life)
            || file.error_code.as_deref().is_some_and(|code| BY_AN_ANSWER.contains(&code));
        let unkept = |end: &Attempt| {
            let run = run_of(job.id, end);
            file.raw.is_none() && evidence.logs.unkept.iter().any(|key| key.contains(&run))
        };
        if end.is_none_or(unkept) {
            let written = evidence.written.iter().filter(|entry| entry.job == job.id && entry.life == job.life);
            let written: BTreeSet<_> = written.map(|entry| entry.ordinal).collect();
            let answers = evidence.answers.iter().filter(|answer| answer.job == job.id && answer.life == job.life);
            let kept = answers.map(|answer| answer.ordinal).collect();
            checked += usize::from(!written.is_empty());
            if !written.is_subset(&kept) {
                broken.push(format!("file {} ({:?}): journaled {written:?}, kept {kept:?}", file.id, file.error_code));
            }
            continue;
        }
        if !answered {
            continue;
        }
        checked += 1;
        let bytes = file.raw.as_ref().and_then(|key| evidence.documents.get(key));
        let of_this_end =
            file.raw.as_ref().is_some_and(|key| end.is_some_and(|end| key.contains(&run_of(job.id, end))));
        let kept = of_this_end && bytes.is_some_and(|bytes| serde_json::from_slice::<Value>(bytes).is_ok());
        if !kept {
            broken.push(format!("file {} ({:?}): {:?}", file.id, file.error_code, file.raw));
        }
    }
    Verdict::new("every failure after an answer has its raw_llm_output.json", checked, broken)
}

/// Returns the folder of a claim's objects.
fn run_of(job: Uuid, end: &Attempt) -> String {
    format!("/runs/{job}-{}/", end.token)
}

fn validator(schema: &str) -> Validator {
    let schema = serde_json::from_str(schema).expect("the schemas of the repository are JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("and valid schemas")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::Answer,
        invariants::rows::{FILE, JOB, failed, succeeded},
    };

    /// Returns a report of the file, with this risk.
    fn with_report(risk: &str, file: Uuid) -> Evidence {
        let mut evidence = succeeded();
        let overview = format!("zqa-accepted-{}", file.simple());
        let report =
            serde_json::json!({ "overview": overview, "highlights": [], "next_steps": [], "risk_level": risk });
        let key = evidence.files[0].report.clone().unwrap();
        evidence.documents.insert(key, report.to_string().into());
        evidence
    }

    #[test]
    fn a_report_that_is_missing_invalid_or_anothers_is_seen() {
        assert!(every_report_satisfies_its_schema(&with_report("low", FILE)).broken.is_empty());
        let others = [succeeded(), with_report("severe", FILE), with_report("low", JOB)];
        let broken = others.map(|evidence| every_report_satisfies_its_schema(&evidence).broken);
        assert!(broken[0][0].ends_with("does not exist"), "{broken:?}");
        assert!(broken[1][0].ends_with("does not satisfy its schema"), "{broken:?}");
        assert!(broken[2][0].ends_with("is another file's"), "{broken:?}");
    }

    #[test]
    fn a_failure_that_lost_its_received_answer_is_seen() {
        let by_code = Evidence { written: Vec::new(), ..failed("llm_refused") };
        let by_journal = failed("llm_timeout");
        let key = |token| format!("users/{FILE}/files/{FILE}/runs/{JOB}-{token}/raw_llm_output.json");
        for mut evidence in [by_code, by_journal] {
            assert_eq!(every_failure_after_an_answer_kept_it(&evidence).broken.len(), 1);
            evidence.files[0].raw = Some(key(1));
            assert_eq!(every_failure_after_an_answer_kept_it(&evidence).broken.len(), 1);
            evidence.documents.insert(key(1), "{}".into());
            assert!(every_failure_after_an_answer_kept_it(&evidence).broken.is_empty());
            evidence.attempts[0].token = 2;
            assert_eq!(every_failure_after_an_answer_kept_it(&evidence).broken.len(), 1);
        }
    }

    #[test]
    fn a_logged_failure_to_write_excuses_its_own_claim_only() {
        let mut evidence = failed("llm_refused");
        let key = |token| format!("users/{FILE}/files/{FILE}/runs/{JOB}-{token}/raw_llm_output.json");
        evidence.logs.unkept.insert(key(2));
        assert_eq!(every_failure_after_an_answer_kept_it(&evidence).broken.len(), 1);
        evidence.logs.unkept.insert(key(1));
        assert_eq!(every_failure_after_an_answer_kept_it(&evidence).broken.len(), 1, "the journal has not kept it");
        evidence.answers.push(Answer { job: JOB, life: 1, ordinal: 0, key: "a".to_owned() });
        assert!(every_failure_after_an_answer_kept_it(&evidence).broken.is_empty());
    }

    #[test]
    fn an_end_by_sql_alone_that_loses_a_journaled_answer_is_seen() {
        let mut evidence = failed("worker_lost");
        evidence.attempts[0].outcome = "lost".to_owned();
        assert_eq!(every_failure_after_an_answer_kept_it(&evidence).broken.len(), 1);
        evidence.answers.push(Answer { job: JOB, life: 1, ordinal: 0, key: "a".to_owned() });
        assert!(every_failure_after_an_answer_kept_it(&evidence).broken.is_empty());
    }

    #[test]
    fn a_failure_without_an_answer_keeps_none() {
        let evidence = Evidence { written: Vec::new(), ..failed("transcript_empty") };
        let verdict = every_failure_after_an_answer_kept_it(&evidence);
        assert_eq!((verdict.checked, verdict.broken.len()), (0, 0));
    }
}
