//! The loop: advance, ask, advance, until the guest accepts or rejects.

use std::sync::Arc;

use assay_runtime::{Answer, Call, Fault, Guest, Prompt, Rejection, Report, Step, Transcript};

use crate::{
    limits::{JobLimits, LimitBreach},
    report::ReportFault,
};

/// Where the answers of a conversation come from: a model and its journal, stored answers, files, or a fixture.
#[expect(
    async_fn_in_trait,
    reason = "each caller knows its own source, and whether its future can move between threads"
)]
pub trait Answers {
    /// Why a round stays without its answers.
    type Error;

    /// Returns every answer so far, in the order of the questions.
    fn answers(&self) -> &[Answer];

    /// Answers a round: afterwards [`Self::answers`] has one more for each prompt, in their order.
    async fn ask(&mut self, prompts: Vec<Prompt>) -> Result<(), Self::Error>;

    /// Notes what one call of the guest took; its log lines may be taken out of it.
    fn called(&mut self, call: &mut Call<Step>);
}

/// How a conversation ends by the guest's own word.
#[derive(Debug)]
pub enum Ending {
    /// A report whose text is JSON within the limits. Nobody has checked its schema yet.
    Accepted(Report),
    /// No report can be made of these answers.
    Rejected(Rejection),
}

/// Why a conversation has no ending. `call` counts the calls of the guest, from 1.
#[derive(Debug)]
pub enum Stop<E> {
    /// A call of the guest failed.
    Fault {
        /// Which call.
        call: usize,
        /// How.
        fault: Fault,
    },
    /// The guest asks for more than a job may.
    OverLimit {
        /// Which call asked.
        call: usize,
        /// The limit.
        breach: LimitBreach,
    },
    /// The text that the guest accepted is no report.
    NoReport {
        /// Which call accepted.
        call: usize,
        /// What it accepted.
        report: Report,
        /// What is wrong with the text.
        fault: ReportFault,
    },
    /// A round stays without its answers.
    Unanswered(E),
}

/// Runs one conversation within `limits`.
///
/// # Errors
/// [`Stop`].
pub async fn run<A: Answers>(
    guest: &Guest,
    transcript: &Arc<Transcript>,
    limits: &JobLimits,
    source: &mut A,
) -> Result<Ending, Stop<A::Error>> {
    let mut rounds = 0;
    loop {
        let number = rounds + 1;
        let mut call = guest.advance(transcript, source.answers()).await;
        source.called(&mut call);
        match call.result.map_err(|fault| Stop::Fault { call: number, fault })? {
            Step::Ask(prompts) => {
                let checked = limits.check_round(&prompts, rounds, source.answers().len());
                checked.map_err(|breach| Stop::OverLimit { call: number, breach })?;
                source.ask(prompts).await.map_err(Stop::Unanswered)?;
                rounds += 1;
            }
            Step::Accept(report) => {
                return match limits.check_report(&report.document) {
                    Ok(()) => Ok(Ending::Accepted(report)),
                    Err(fault) => Err(Stop::NoReport { call: number, report, fault }),
                };
            }
            Step::Reject(rejection) => return Ok(Ending::Rejected(rejection)),
        }
    }
}
