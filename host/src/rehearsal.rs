//! A guest on answers that another one got: what would it make of them? Nothing is asked and nothing is written.

use std::{sync::Arc, time::Duration};

use assay_runtime::{Answer, Finding, Prompt, Step, Transcript};
use bytes::Bytes;

use crate::{
    comparison::{self, Verdict},
    error::{Code, JobError},
    guests::{GuestsLimits, Release},
    pipeline::{check_prompts, check_report, fingerprint, reasons},
};

/// An answer, and what the journal knows its question by.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// sha256 of the question.
    pub question: [u8; 32],
    /// What the guest sees.
    pub answer: Answer,
}

/// What a guest made of recorded answers.
#[derive(Debug)]
pub enum Outcome {
    /// A report that its schema accepts.
    Accepted(Bytes),
    /// No report, for these reasons. Content.
    Rejected {
        /// `not_json`, `invalid`, `unsupported` or `other`.
        kind: &'static str,
        /// The guest's words. Content.
        words: String,
        /// Of `invalid`.
        findings: Vec<Finding>,
    },
    /// It asks these, which are not among the recorded ones.
    Diverged(Vec<Prompt>),
    /// It does what no guest may do.
    Fault(JobError),
}

impl Outcome {
    /// What there is to compare.
    pub fn compared(&self) -> comparison::Outcome {
        match self {
            Self::Accepted(document) => comparison::Outcome::Verdict(Verdict::Accepted(document.clone())),
            Self::Rejected { .. } => comparison::Outcome::Verdict(Verdict::Rejected),
            Self::Diverged(_) => comparison::Outcome::Diverged,
            Self::Fault(error) => comparison::Outcome::Fault(error.code),
        }
    }
}

/// An outcome, and what it cost.
#[derive(Debug)]
pub struct Rehearsal {
    /// What came out.
    pub outcome: Outcome,
    /// Time in the sandbox.
    pub guest_time: Duration,
}

/// Runs a guest on recorded answers, within the limits of a job. A question is known by its hash, wherever it is asked; what is
/// asked twice takes the answers in their order.
///
/// A document equal to `verified` is one that the verifier of the same schema has accepted before.
pub async fn rehearse(
    release: &Release,
    transcript: &Arc<Transcript>,
    recorded: &[Recorded],
    limits: &GuestsLimits,
    verified: Option<&Bytes>,
) -> Rehearsal {
    let mut guest_time = Duration::ZERO;
    let outcome = advance(release, transcript, recorded, limits, verified, &mut guest_time).await;
    Rehearsal { outcome: outcome.unwrap_or_else(Outcome::Fault), guest_time }
}

async fn advance(
    release: &Release,
    transcript: &Arc<Transcript>,
    recorded: &[Recorded],
    limits: &GuestsLimits,
    verified: Option<&Bytes>,
    guest_time: &mut Duration,
) -> Result<Outcome, JobError> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut used = vec![false; recorded.len()];
    for _ in 0..=limits.job.rounds {
        let advanced = release.advance(transcript, &answers).await;
        *guest_time += advanced.elapsed;
        match advanced.step? {
            Step::Ask(prompts) => {
                check_prompts(&prompts, answers.len(), limits)?;
                let known = prompts.iter().map(|prompt| take(prompt, recorded, &mut used)).collect::<Vec<_>>();
                if known.iter().any(Option::is_none) {
                    let unknown = prompts.into_iter().zip(known).filter(|(_, answer)| answer.is_none());
                    return Ok(Outcome::Diverged(unknown.map(|(prompt, _)| prompt).collect()));
                }
                answers.extend(known.into_iter().flatten());
            }
            Step::Accept(report) => return accept(release, report.document, limits, verified).await,
            Step::Reject(rejection) => {
                let (kind, words, findings) = reasons(rejection);
                return Ok(Outcome::Rejected { kind, words, findings });
            }
        }
    }
    let message = format!("ask the model: more than {} rounds (GUEST_MAX_ROUNDS)", limits.job.rounds);
    Err(JobError::new(Code::GuestLimitExceeded, message))
}

/// The next unused answer to a question.
fn take(prompt: &Prompt, recorded: &[Recorded], used: &mut [bool]) -> Option<Answer> {
    let question = fingerprint(prompt);
    let place = (0..recorded.len()).find(|place| !used[*place] && recorded[*place].question == question)?;
    used[place] = true;
    Some(recorded[place].answer.clone())
}

async fn accept(
    release: &Release,
    document: String,
    limits: &GuestsLimits,
    verified: Option<&Bytes>,
) -> Result<Outcome, JobError> {
    if verified.is_some_and(|verified| verified == document.as_bytes()) {
        return Ok(Outcome::Accepted(document.into()));
    }
    check_report(&document, &limits.job)?;
    let found = release.verify(&document).await?;
    if !found.is_empty() {
        let message = format!("check the report against its schema: {}", release.summary(&found));
        return Err(JobError::new(Code::ReportInvalid, message));
    }
    Ok(Outcome::Accepted(document.into()))
}
