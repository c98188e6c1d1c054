//! The loop: advance, ask, advance, until the guest accepts or rejects.

use std::sync::Arc;

use assay_runtime::{Answer, Call, Fault, Guest, Prompt, Rejection, Report, Step, Transcript};

use crate::{
    limits::{JobLimits, LimitBreach},
    report::ReportFault,
};

/// The source of a conversation's answers: a model and its journal, stored answers, files, or a fixture.
#[expect(
    async_fn_in_trait,
    reason = "each caller knows its own source, and whether its future can move between threads"
)]
pub trait Answers {
    /// Why a round gets no answers.
    type Error;

    /// Returns every answer so far, in the order of the questions.
    fn answers(&self) -> &[Answer];

    /// Answers a round. After that, [`Self::answers`] has one more answer for each prompt, in their order.
    ///
    /// # Errors
    /// [`Self::Error`] ends the conversation.
    async fn ask(&mut self, prompts: Vec<Prompt>) -> Result<(), Self::Error>;

    /// Records the cost of one call of the guest. It may take the log lines out of the call.
    fn called(&mut self, call: &mut Call<Step>);
}

/// The end that a guest chose.
#[derive(Debug)]
pub enum ConversationEnd {
    /// A report whose text is JSON within the limits. Its schema is not checked yet.
    Accepted(Report),
    /// The guest rejected the answers.
    Rejected(Rejection),
}

/// Why a conversation stopped. `call` counts the calls of the guest, from 1.
#[derive(Debug)]
pub enum ConversationError<E> {
    /// A call of the guest failed.
    Fault { call: usize, fault: Fault },
    /// The guest asked for more than a job may.
    OverLimit { call: usize, breach: LimitBreach },
    /// The guest accepted a text that is not a report.
    NoReport { call: usize, report: Report, fault: ReportFault },
    /// A round got no answers.
    Unanswered(E),
}

/// Runs one conversation within `limits`. A round is checked before the source sees it.
///
/// # Errors
/// [`ConversationError`].
pub async fn run<A: Answers>(
    guest: &Guest,
    transcript: &Arc<Transcript>,
    limits: &JobLimits,
    source: &mut A,
) -> Result<ConversationEnd, ConversationError<A::Error>> {
    let mut rounds = 0;
    loop {
        let number = rounds + 1;
        let mut call = guest.advance(transcript, source.answers()).await;
        source.called(&mut call);
        match call.result.map_err(|fault| ConversationError::Fault { call: number, fault })? {
            Step::Ask(prompts) => {
                let checked = limits.check_round(&prompts, rounds, source.answers().len());
                checked.map_err(|breach| ConversationError::OverLimit { call: number, breach })?;
                source.ask(prompts).await.map_err(ConversationError::Unanswered)?;
                rounds += 1;
            }
            Step::Accept(report) => {
                return match limits.check_report(&report.document) {
                    Ok(()) => Ok(ConversationEnd::Accepted(report)),
                    Err(fault) => Err(ConversationError::NoReport { call: number, report, fault }),
                };
            }
            Step::Reject(rejection) => return Ok(ConversationEnd::Rejected(rejection)),
        }
    }
}
