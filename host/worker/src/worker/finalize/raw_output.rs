//! Keeps the answers of a job that ends without a report, and the guest's words. Content: only the bucket may hold it.

use std::{borrow::Cow, fmt::Display};

use assay_core::{
    code::Code,
    job_error::JobError,
    object_keys::{RunArtifact, run_key},
};
use assay_runtime::{Finding, LogLine};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    pipeline::{
        journal::read_answer,
        run::{JournaledAnswer, Run},
    },
    services::Services,
};

/// `raw_llm_output.json`.
#[derive(Serialize)]
struct RawOutput<'a> {
    code: &'static str,
    prompt_version: Option<String>,
    schema_version: Option<String>,
    guest_digest: Option<String>,
    /// Every answer received since the last requeue, verbatim, with model, finish reason and usage. Empty where the guest failed
    /// before the first one.
    answers: Vec<RawAnswer<'a>>,
    /// Bodies of successes that hold no answer, as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<RawRejection<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    findings: &'a [Finding],
    /// On a report that was accepted and not written.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [Finding],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    log: &'a [LogLine],
}

#[derive(Serialize)]
struct RawAnswer<'a> {
    ordinal: usize,
    answer: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct RawRejection<'a> {
    kind: &'static str,
    message: &'a str,
}

/// Writes `raw_llm_output.json` for a job that ends after a received answer, or after words of its guest. Returns its key.
///
/// If the write fails, the job still ends with its code, and the journal keeps the answers.
pub(super) async fn keep_raw_output(services: &Services, run: &mut Run<'_>, code: Code) -> Option<String> {
    let unread = collect_journal(services, run).await;
    let file = run.claim.file.clone();
    let key = run_key(&file, run.claim.lease, RunArtifact::RawOutput);
    if run.stored.is_empty() {
        if let Some(error) = unread {
            log_not_kept(&error, &key);
        }
        if !run.has_guest_words() && run.unreadable.is_empty() {
            return None;
        }
    }
    let versions = run.versions();
    let raw = RawOutput {
        code: code.as_str(),
        prompt_version: versions.prompt_version,
        schema_version: versions.schema_version,
        guest_digest: versions.guest_digest,
        answers: run
            .stored
            .iter()
            .map(|stored| RawAnswer { ordinal: stored.ordinal, answer: serde_json::from_slice(&stored.bytes).ok() })
            .collect(),
        unreadable: run.unreadable.iter().map(|answer| String::from_utf8_lossy(&answer.body)).collect(),
        rejection: run.rejection.as_ref().map(|(kind, message)| RawRejection { kind, message }),
        findings: &run.findings,
        notes: &run.notes,
        log: &run.log,
    };
    let bytes = Bytes::from(serde_json::to_vec(&raw).expect("strings, numbers and JSON are always JSON"));
    match services.objects.write_json(&file.bucket, &key, bytes).await {
        Ok(()) => Some(key),
        Err(error) => {
            log_not_kept(&error, &key);
            None
        }
    }
}

/// Reads answers of earlier attempts that this run did not reach. Returns the last error of an answer that cannot be read.
async fn collect_journal(services: &Services, run: &mut Run<'_>) -> Option<JobError> {
    let mut unread = None;
    for entry in &run.claim.journal {
        let is_known = |stored: &JournaledAnswer| i32::try_from(stored.ordinal) == Ok(entry.ordinal);
        if run.stored.iter().any(is_known) {
            continue;
        }
        match read_answer(&services.objects, &run.claim.file, entry).await {
            Ok((_, stored)) => run.stored.push(stored),
            Err(error) => {
                tracing::warn!(%error, ordinal = entry.ordinal, "answer for the raw output was not read");
                unread = Some(error);
            }
        }
    }
    run.stored.sort_by_key(|stored| stored.ordinal);
    unread
}

fn log_not_kept(error: &dyn Display, key: &str) {
    tracing::error!(event = "raw_output_write_failed", %error, object.key = key, "raw output was not written");
}
