//! The state of one run of a job.

use std::sync::Arc;

use assay_conversation::RejectionReasons;
use assay_core::{
    attempt_usage::AttemptUsage,
    claim::Claim,
    code::Code,
    job_error::{JobError, Step},
    settlement::FileResult,
    stop_reason::StopReason,
};
use assay_llm::UnreadableAnswer;
use assay_runtime::{Answer, Finding, LogLine, Rejection, Transcript};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::guests::release::Release;

/// Why a run did not end in a report.
#[derive(Debug)]
pub enum RunError {
    Job {
        step: Step,
        error: JobError,
    },
    /// The run was interrupted from outside.
    Stopped(StopReason),
}

impl RunError {
    pub fn at(step: Step, error: JobError) -> Self {
        Self::Job { step, error }
    }
}

/// The end of a run: with a report in the bucket, or without one.
pub type RunResult = Result<(), RunError>;

/// Names the step that an error belongs to.
pub trait ResultExt<T> {
    fn at_step(self, step: Step) -> Result<T, RunError>;
}

impl<T> ResultExt<T> for Result<T, JobError> {
    fn at_step(self, step: Step) -> Result<T, RunError> {
        self.map_err(|error| RunError::at(step, error))
    }
}

/// An answer as the journal holds it.
#[derive(Debug)]
pub struct JournaledAnswer {
    /// Position among the answers of the job, from 0.
    pub ordinal: usize,
    /// sha256 of the question.
    pub question: [u8; 32],
    /// A [`StoredAnswer`](super::stored_answer::StoredAnswer) as JSON.
    pub bytes: Bytes,
}

/// What a run keeps for a candidate in the shadow.
#[derive(Debug, Default)]
pub struct ShadowInput {
    pub transcript: Option<Arc<Transcript>>,
    /// The accepted report.
    pub report: Option<Bytes>,
}

/// One run of a job.
#[derive(Debug)]
pub struct Run<'a> {
    pub claim: &'a Claim,
    pub release: Option<Arc<Release>>,
    /// The answers in the guest's order, as the next call of `advance` sees them.
    pub answers: Vec<Answer>,
    /// Every received answer, also those that the guest may not see.
    pub stored: Vec<JournaledAnswer>,
    pub spent: AttemptUsage,
    /// Successes of the model that hold no answer. Content.
    pub unreadable: Vec<UnreadableAnswer>,
    /// The guest's log lines. Content.
    pub log: Vec<LogLine>,
    /// The guest's notes on a report that it accepted. Content.
    pub notes: Vec<Finding>,
    /// Why the guest rejected the answers. Content.
    pub findings: Vec<Finding>,
    /// The kind of the rejection, and the guest's words for it.
    pub rejection: Option<(&'static str, String)>,
    /// The key of the report, from just before it is written.
    pub report_key: Option<String>,
    /// Kept only for a candidate in the shadow, because it takes memory as long as the job runs.
    pub kept: Option<Box<ShadowInput>>,
    /// Journal writes under way.
    pub journal_writes: JoinSet<Result<(), RunError>>,
}

impl<'a> Run<'a> {
    pub fn new(claim: &'a Claim) -> Self {
        Self {
            claim,
            release: None,
            answers: Vec::new(),
            stored: Vec::new(),
            spent: AttemptUsage::default(),
            unreadable: Vec::new(),
            log: Vec::new(),
            notes: Vec::new(),
            findings: Vec::new(),
            rejection: None,
            report_key: None,
            kept: None,
            journal_writes: JoinSet::new(),
        }
    }

    /// Waits until every answer is journaled. Returns the first failure.
    pub async fn journaled(&mut self) -> Result<(), RunError> {
        let mut result = Ok(());
        while let Some(written) = self.journal_writes.join_next().await {
            let written = written.unwrap_or_else(|_panic| {
                // Without the panic as cause: its text may quote a document.
                let error = JobError::new(Code::DbUpdateFailed, "journal an answer: the write panicked");
                Err(RunError::at(Step::Journal, error))
            });
            result = result.and(written);
        }
        result
    }

    /// Returns whether the guest said why there is no report, or left notes or lines.
    pub fn has_guest_words(&self) -> bool {
        let has_findings = !self.notes.is_empty() || !self.findings.is_empty();
        has_findings || !self.log.is_empty() || self.rejection.is_some()
    }

    /// Returns what the file row takes over from a run with a report.
    pub fn finished(&self) -> FileResult {
        FileResult { report_key: self.report_key.clone(), ..self.versions() }
    }

    /// Returns the versions and digest of the guest that ran.
    pub fn versions(&self) -> FileResult {
        let Some(release) = &self.release else {
            return FileResult::default();
        };
        FileResult {
            prompt_version: Some(release.manifest().prompt_version.clone()),
            schema_version: Some(release.manifest().schema_version.clone()),
            guest_digest: Some(release.digest().to_owned()),
            ..FileResult::default()
        }
    }

    /// Keeps the guest's reasons for the run folder. Returns an error without content.
    pub fn rejected(&mut self, release: &Release, rejection: Rejection) -> JobError {
        let RejectionReasons { kind, message, findings } = rejection.into();
        let shown = match kind {
            "invalid" => format!("let the guest judge the answers: {}", release.summary(&findings)),
            kind => format!("let the guest judge the answers: {kind}"),
        };
        self.rejection = Some((kind, message));
        self.findings = findings;
        JobError::new(Code::SchemaValidationFailed, shown)
    }
}
