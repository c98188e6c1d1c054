//! Runs a guest on the answers of another run. Asks nothing and writes nothing.

use std::{sync::Arc, time::Duration};

use assay_conversation::{
    Answers, ConversationEnd, ConversationError, JobLimits, RejectionReasons, question_sha256, run,
};
use assay_core::{
    code::Code,
    job_error::JobError,
    report_diff::{self, GuestVerdict},
};
use assay_runtime::{Answer, Call, Prompt, Step, Transcript};
use bytes::Bytes;

use crate::guests::release::Release;

/// A stored answer and its question.
#[derive(Clone, Debug)]
pub struct RecordedAnswer {
    /// sha256 of the question.
    pub question: [u8; 32],
    pub answer: Answer,
}

/// What a guest makes of recorded answers.
#[derive(Debug)]
pub enum DryRunOutcome {
    /// A valid report.
    Accepted(Bytes),
    /// Content.
    Rejected(RejectionReasons),
    /// The questions without a recorded answer.
    Diverged(Vec<Prompt>),
    /// The guest broke a rule.
    Fault(JobError),
}

impl DryRunOutcome {
    /// Returns the outcome as the comparison needs it.
    pub fn compared(&self) -> report_diff::CandidateOutcome {
        match self {
            Self::Accepted(document) => report_diff::CandidateOutcome::Judged(GuestVerdict::Accepted(document.clone())),
            Self::Rejected(_) => report_diff::CandidateOutcome::Judged(GuestVerdict::Rejected),
            Self::Diverged(_) => report_diff::CandidateOutcome::Diverged,
            Self::Fault(error) => report_diff::CandidateOutcome::Fault(error.code),
        }
    }
}

/// The result of a dry run.
#[derive(Debug)]
pub struct DryRun {
    pub outcome: DryRunOutcome,
    /// Time in the sandbox.
    pub guest_time: Duration,
}

/// Runs a guest on recorded answers, within the limits of a job.
///
/// Answers are found by the hash of their question. A question that is asked twice takes its answers in order. A report equal to
/// `verified` needs no check: the verifier of the same schema accepted it before.
pub async fn dry_run(
    release: &Release,
    transcript: &Arc<Transcript>,
    recorded: &[RecordedAnswer],
    limits: &JobLimits,
    verified: Option<&Bytes>,
) -> DryRun {
    let mut stored =
        StoredAnswers { recorded, used: vec![false; recorded.len()], answers: Vec::new(), guest_time: Duration::ZERO };
    let outcome = match run(release.guest(), transcript, limits, &mut stored).await {
        Ok(ConversationEnd::Accepted(report)) => {
            verify(release, report.document, verified).await.unwrap_or_else(DryRunOutcome::Fault)
        }
        Ok(ConversationEnd::Rejected(rejection)) => DryRunOutcome::Rejected(rejection.into()),
        Err(ConversationError::Unanswered(prompts)) => DryRunOutcome::Diverged(prompts),
        Err(ConversationError::Fault { fault, .. }) => DryRunOutcome::Fault(fault.into()),
        Err(ConversationError::OverLimit { breach, .. }) => {
            DryRunOutcome::Fault(JobError::new(Code::GuestLimitExceeded, breach.to_string()))
        }
        Err(ConversationError::NoReport { fault, .. }) => {
            DryRunOutcome::Fault(JobError::new(Code::ReportInvalid, format!("check the report: {fault}")))
        }
    };
    DryRun { outcome, guest_time: stored.guest_time }
}

/// Answers a guest from recorded answers.
struct StoredAnswers<'a> {
    recorded: &'a [RecordedAnswer],
    used: Vec<bool>,
    answers: Vec<Answer>,
    guest_time: Duration,
}

impl StoredAnswers<'_> {
    /// Takes the next unused answer to a question.
    fn take(&mut self, prompt: &Prompt) -> Option<Answer> {
        let question = question_sha256(prompt);
        let unused = |index: &usize| !self.used[*index] && self.recorded[*index].question == question;
        let index = (0..self.recorded.len()).find(unused)?;
        self.used[index] = true;
        Some(self.recorded[index].answer.clone())
    }
}

impl Answers for StoredAnswers<'_> {
    /// The questions without a recorded answer.
    type Error = Vec<Prompt>;

    fn answers(&self) -> &[Answer] {
        &self.answers
    }

    async fn ask(&mut self, prompts: Vec<Prompt>) -> Result<(), Vec<Prompt>> {
        let known: Vec<_> = prompts.iter().map(|prompt| self.take(prompt)).collect();
        if known.iter().any(Option::is_none) {
            let unknown = prompts.into_iter().zip(known).filter(|(_, answer)| answer.is_none());
            return Err(unknown.map(|(prompt, _)| prompt).collect());
        }
        self.answers.extend(known.into_iter().flatten());
        Ok(())
    }

    fn called(&mut self, call: &mut Call<Step>) {
        self.guest_time += call.elapsed;
    }
}

async fn verify(release: &Release, document: String, verified: Option<&Bytes>) -> Result<DryRunOutcome, JobError> {
    if verified.is_some_and(|verified| verified == document.as_bytes()) {
        return Ok(DryRunOutcome::Accepted(document.into()));
    }
    let found = release.verify(&document).await?;
    if !found.is_empty() {
        let message = format!("check the report against its schema: {}", release.summary(&found));
        return Err(JobError::new(Code::ReportInvalid, message));
    }
    Ok(DryRunOutcome::Accepted(document.into()))
}
