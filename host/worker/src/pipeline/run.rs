//! What one run of a job gathers on its way.

use std::sync::Arc;

use assay_conversation::RejectionReasons;
use assay_core::{
    attempt_usage::AttemptUsage,
    breaker::Dependency,
    claim::Claim,
    code::Code,
    job_error::{JobError, Step},
    settlement::FileResult,
    stop_reason::StopReason,
};
use assay_runtime::{Answer, Finding, LogLine, Rejection, Transcript};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::guests::Release;

/// Why a run did not end in a report.
#[derive(Debug)]
pub enum RunError {
    /// Something went wrong with the job.
    Job {
        /// Where.
        step: Step,
        /// What.
        error: JobError,
    },
    /// The run was cut short from outside.
    Stopped(StopReason),
}

impl RunError {
    /// Something went wrong at `step`.
    pub fn at(step: Step, error: JobError) -> Self {
        Self::Job { step, error }
    }
}

/// How a run ends: with a report in the bucket, or without one.
pub type RunResult = Result<(), RunError>;

/// Names the step that an error belongs to.
pub trait ResultExt<T> {
    /// Names the step.
    fn at_step(self, step: Step) -> Result<T, RunError>;
}

impl<T> ResultExt<T> for Result<T, JobError> {
    fn at_step(self, step: Step) -> Result<T, RunError> {
        self.map_err(|error| RunError::at(step, error))
    }
}

/// An answer as the journal stores it.
#[derive(Debug)]
pub struct Stored {
    /// Its place.
    pub ordinal: usize,
    /// What the journal knows its question by.
    pub question: [u8; 32],
    /// Its bytes: JSON.
    pub bytes: Bytes,
}

/// What a run keeps for a comparison after its end, where one is wanted.
#[derive(Debug, Default)]
pub struct Kept {
    /// What the guest saw.
    pub transcript: Option<Arc<Transcript>>,
    /// The report that was accepted.
    pub report: Option<Bytes>,
}

/// One run of a job.
#[derive(Debug)]
pub struct Run<'a> {
    /// The job.
    pub claim: &'a Claim,
    /// What it is the probe of, where it is one.
    pub probes: Vec<Dependency>,
    /// What runs it.
    pub release: Option<Arc<Release>>,
    /// The answers in the guest's order; what the next call of `advance` sees.
    pub answers: Vec<Answer>,
    /// Every answer that this run has in hand, also those that no guest may see.
    pub stored: Vec<Stored>,
    /// What this run used.
    pub spent: AttemptUsage,
    /// The guest's words.
    pub log: Vec<LogLine>,
    /// Why the answers or the report were refused.
    pub findings: Vec<Finding>,
    /// The kind of a rejection, and the guest's words for it.
    pub rejection: Option<(&'static str, String)>,
    /// Where the report is, once it is written.
    pub report_key: Option<String>,
    /// What is kept for a comparison; none where nobody asks for it, because it takes memory for as long as the job runs.
    pub kept: Option<Box<Kept>>,
    /// Writes of answers under way.
    pub journaling: JoinSet<Result<(), RunError>>,
}

impl<'a> Run<'a> {
    /// A run that has not begun.
    pub fn new(claim: &'a Claim) -> Self {
        Self {
            claim,
            probes: Vec::new(),
            release: None,
            answers: Vec::new(),
            stored: Vec::new(),
            spent: AttemptUsage::default(),
            log: Vec::new(),
            findings: Vec::new(),
            rejection: None,
            report_key: None,
            kept: None,
            journaling: JoinSet::new(),
        }
    }

    /// Waits until every answer is journaled.
    pub async fn journaled(&mut self) -> Result<(), RunError> {
        let mut result = Ok(());
        while let Some(written) = self.journaling.join_next().await {
            let written = written.unwrap_or_else(|_panic| {
                // Not as the cause: it quotes the panic's text, which may quote a document.
                let error = JobError::new(Code::DbUpdateFailed, "journal an answer: the write panicked");
                Err(RunError::at(Step::Journal, error))
            });
            result = result.and(written);
        }
        result
    }

    /// What the file row takes over from a run that made a report.
    pub fn finished(&self) -> FileResult {
        FileResult { report_key: self.report_key.clone(), ..self.versions() }
    }

    /// Which guest ran.
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

    /// Keeps the guest's reasons for the run folder, and returns what may be said of them outside it.
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
