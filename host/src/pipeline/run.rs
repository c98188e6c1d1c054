//! What one run of a job gathers on its way.

use std::sync::Arc;

use assay_runtime::{Answer, Finding, LogLine, Rejection, Transcript};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{
    breaker::Dependency,
    comparison::Verdict,
    error::{Code, JobError, Step},
    guests::Release,
    job::{Claim, FileResult, Interruption, Outcome, Settlement, Spent},
    rehearsal::Recorded,
    shadow::Case,
};

/// Why a run did not end in a report.
#[derive(Debug)]
pub enum Failed {
    /// Something went wrong with the job.
    Job {
        /// Where.
        step: Step,
        /// What.
        error: JobError,
    },
    /// The run was cut short from outside.
    Interrupted(Interruption),
}

impl Failed {
    /// Something went wrong at `step`.
    pub fn at(step: Step, error: JobError) -> Self {
        Self::Job { step, error }
    }
}

/// Names the step that an error belongs to.
pub trait At<T> {
    /// Names the step.
    fn at(self, step: Step) -> Result<T, Failed>;
}

impl<T> At<T> for Result<T, JobError> {
    fn at(self, step: Step) -> Result<T, Failed> {
        self.map_err(|error| Failed::at(step, error))
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

/// What only a candidate in the shadow needs to know of a run.
#[derive(Debug)]
struct Observed {
    candidate: Arc<Release>,
    transcript: Arc<Transcript>,
    report: Option<Bytes>,
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
    pub spent: Spent,
    /// The guest's words.
    pub log: Vec<LogLine>,
    /// Why the answers or the report were refused.
    pub findings: Vec<Finding>,
    /// The kind of a rejection, and the guest's words for it.
    pub rejection: Option<(&'static str, String)>,
    /// Where the report is, once it is written.
    pub report_key: Option<String>,
    /// What a candidate in the shadow is to be tried on, where there is one.
    observed: Option<Box<Observed>>,
    /// Writes of answers under way.
    pub journaling: JoinSet<Result<(), Failed>>,
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
            spent: Spent::default(),
            log: Vec::new(),
            findings: Vec::new(),
            rejection: None,
            report_key: None,
            observed: None,
            journaling: JoinSet::new(),
        }
    }

    /// Waits until every answer is journaled.
    pub async fn journaled(&mut self) -> Result<(), Failed> {
        let mut result = Ok(());
        while let Some(written) = self.journaling.join_next().await {
            let written = written.unwrap_or_else(|_panic| {
                // Not as the cause: it quotes the panic's text, which may quote a document.
                let error = JobError::new(Code::DbUpdateFailed, "journal an answer: the write panicked");
                Err(Failed::at(Step::Journal, error))
            });
            result = result.and(written);
        }
        result
    }

    /// Keeps what `candidate` is to be tried on, once the job has ended.
    pub fn observe(&mut self, candidate: Option<Arc<Release>>, transcript: &Arc<Transcript>) {
        self.observed =
            candidate.map(|candidate| Box::new(Observed { candidate, transcript: transcript.clone(), report: None }));
    }

    /// Keeps the report for the comparison.
    pub fn accepted(&mut self, report: &Bytes) {
        if let Some(observed) = &mut self.observed {
            observed.report = Some(report.clone());
        }
    }

    /// What a candidate in the shadow is to be tried on; nothing where there is none, or where the job did not end in a verdict
    /// of its guest.
    pub fn shadow_case(&mut self, settled: &Settlement) -> Option<Case> {
        let Observed { candidate, transcript, report } = *self.observed.take()?;
        let verdict = match (settled.outcome, report, settled.failure.as_ref().map(|failure| failure.code)) {
            (Outcome::Succeeded, Some(report), _) => Verdict::Accepted(report),
            (Outcome::Failed, _, Some(Code::SchemaValidationFailed)) => Verdict::Rejected,
            _ => return None,
        };
        let answers = std::mem::take(&mut self.answers).into_iter().zip(&self.stored);
        let recorded = answers.map(|(answer, stored)| Recorded { question: stored.question, answer }).collect();
        Some(Case {
            candidate,
            beside: self.release.clone()?,
            channel: self.claim.channel.clone(),
            file: self.claim.file.id,
            transcript,
            recorded,
            verdict,
        })
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

    /// Keeps the guest's reasons for the run folder, and tells of them what may be told.
    pub fn rejected(&mut self, release: &Release, rejection: Rejection) -> JobError {
        let (kind, words, found) = reasons(rejection);
        let message = match kind {
            "invalid" => format!("let the guest judge the answers: {}", release.summary(&found)),
            kind => format!("let the guest judge the answers: {kind}"),
        };
        self.rejection = Some((kind, words));
        self.findings = found;
        JobError::new(Code::SchemaValidationFailed, message)
    }
}

/// A rejection taken apart: its kind, the guest's words, and the findings.
pub fn reasons(rejection: Rejection) -> (&'static str, String, Vec<Finding>) {
    match rejection {
        Rejection::NotJson(words) => ("not_json", words, Vec::new()),
        Rejection::Invalid(found) => ("invalid", String::new(), found),
        Rejection::Unsupported(words) => ("unsupported", words, Vec::new()),
        Rejection::Other((code, words)) => ("other", format!("{code}: {words}"), Vec::new()),
    }
}
