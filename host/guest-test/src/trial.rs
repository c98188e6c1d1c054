//! Runs a fixture in the sandbox, twice.

use std::{sync::Arc, time::Duration};

use assay_conversation::{self as conversation, Answers, ConversationEnd, ConversationError, JobLimits};
use assay_runtime::{Answer, Call, Fault, Guest, LogLine, Prompt, Step};

use crate::fixture::Fixture;

/// Result of a fixture's first run.
#[derive(Debug)]
pub struct Trial {
    /// The questions that the fixture answers, by round. Content.
    pub rounds: Vec<Vec<Prompt>>,
    /// The step after the last answer. Content.
    pub step: Step,
    /// Fuel of all calls; 0 without metering.
    pub fuel: u64,
    /// Largest linear memory of any call, in bytes.
    pub peak_memory: usize,
    /// Time in the sandbox, over all calls.
    pub elapsed: Duration,
    /// The guest's log lines. Content.
    pub log: Vec<LogLine>,
}

/// Why a fixture gave no step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// A call failed.
    #[error("call {call}: {fault}")]
    Fault {
        /// Number of the call, from 1.
        call: usize,
        /// Its fault.
        fault: Fault,
    },
    /// The guest asks more in a round than the fixture answers.
    #[error("call {call} asks {asked} questions, and {left} answers are left; add the others")]
    AnswersMissing {
        /// Number of the call, from 1.
        call: usize,
        /// Questions of the round.
        asked: usize,
        /// Answers that are left.
        left: usize,
    },
    /// The guest ends before it used every answer.
    #[error("the guest is done after {used} of {given} answers; delete the others")]
    AnswersLeft {
        /// Answers that it used.
        used: usize,
        /// Answers of the fixture.
        given: usize,
    },
    /// The same input gave another step in the second run.
    #[error("the second run gave another step; a guest is a pure function of transcript and answers")]
    Nondeterministic,
    /// The guest exceeds a limit of a job, or its report breaks a rule.
    #[error("call {call}: {limit}")]
    OverLimit {
        /// Number of the call, from 1.
        call: usize,
        /// The limit and the value.
        limit: String,
    },
}

/// Runs a fixture twice, within the limits of a job.
///
/// # Errors
/// [`TrialError`].
pub async fn run_fixture(guest: &Guest, fixture: &Fixture, limits: &JobLimits) -> Result<Trial, TrialError> {
    let first = run_once(guest, fixture, limits).await?;
    let second = run_once(guest, fixture, limits).await?;
    // Fuel may differ: it may depend on the addresses of data. Steps must not.
    if first.step != second.step || first.rounds != second.rounds {
        return Err(TrialError::Nondeterministic);
    }
    Ok(first)
}

async fn run_once(guest: &Guest, fixture: &Fixture, limits: &JobLimits) -> Result<Trial, TrialError> {
    let transcript = Arc::new(fixture.transcript.clone());
    let mut source = FixtureAnswers::new(&fixture.answers);
    let step = match conversation::run(guest, &transcript, limits, &mut source).await {
        Ok(ConversationEnd::Accepted(report)) => Step::Accept(report),
        Ok(ConversationEnd::Rejected(rejection)) => Step::Reject(rejection),
        Err(ConversationError::Unanswered(Unanswered::AllUsed(prompts))) => Step::Ask(prompts),
        Err(ConversationError::Unanswered(Unanswered::Missing(error))) => return Err(error),
        Err(ConversationError::Fault { call, fault }) => return Err(TrialError::Fault { call, fault }),
        Err(ConversationError::OverLimit { call, breach }) => {
            return Err(TrialError::OverLimit { call, limit: breach.to_string() });
        }
        Err(ConversationError::NoReport { call, fault, .. }) => {
            return Err(TrialError::OverLimit { call, limit: format!("check the report: {fault}") });
        }
    };
    let FixtureAnswers { given, used, rounds, fuel, peak_memory, elapsed, log } = source;
    if used < given.len() {
        return Err(TrialError::AnswersLeft { used, given: given.len() });
    }
    Ok(Trial { rounds, step, fuel, peak_memory, elapsed, log })
}

/// The answers of a fixture, and the cost of a run's calls.
struct FixtureAnswers<'a> {
    given: &'a [Answer],
    used: usize,
    rounds: Vec<Vec<Prompt>>,
    fuel: u64,
    peak_memory: usize,
    elapsed: Duration,
    log: Vec<LogLine>,
}

impl<'a> FixtureAnswers<'a> {
    fn new(given: &'a [Answer]) -> Self {
        Self { given, used: 0, rounds: Vec::new(), fuel: 0, peak_memory: 0, elapsed: Duration::ZERO, log: Vec::new() }
    }
}

/// Why a round of questions ends a run.
enum Unanswered {
    /// Every answer is used: these questions are the fixture's last step.
    AllUsed(Vec<Prompt>),
    /// Fewer answers are left than the round asks.
    Missing(TrialError),
}

impl Answers for FixtureAnswers<'_> {
    type Error = Unanswered;

    fn answers(&self) -> &[Answer] {
        &self.given[..self.used]
    }

    async fn ask(&mut self, prompts: Vec<Prompt>) -> Result<(), Unanswered> {
        let left = self.given.len() - self.used;
        if left == 0 {
            return Err(Unanswered::AllUsed(prompts));
        }
        if prompts.len() > left {
            let (call, asked) = (self.rounds.len() + 1, prompts.len());
            return Err(Unanswered::Missing(TrialError::AnswersMissing { call, asked, left }));
        }
        self.used += prompts.len();
        self.rounds.push(prompts);
        Ok(())
    }

    fn called(&mut self, call: &mut Call<Step>) {
        self.fuel += call.fuel.unwrap_or_default();
        self.peak_memory = self.peak_memory.max(call.peak_memory);
        self.elapsed += call.elapsed;
        self.log.append(&mut call.log);
    }
}
