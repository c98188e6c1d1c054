//! One fixture in the sandbox: every round of it, twice.

use std::{sync::Arc, time::Duration};

use assay_conversation::{self as conversation, Answers, Ending, JobLimits, Stop};
use assay_runtime::{Answer, Call, Fault, Guest, LogLine, Prompt, Step};

use crate::fixture::Fixture;

/// What a fixture gave.
#[derive(Debug)]
pub struct Trial {
    /// The questions that the fixture answers, in rounds.
    pub rounds: Vec<Vec<Prompt>>,
    /// The step that followed the last answer.
    pub step: Step,
    /// Fuel of all calls together.
    pub fuel: u64,
    /// Linear memory at its largest in any call, in bytes.
    pub peak_memory: usize,
    /// Time in the sandbox, of all calls together.
    pub elapsed: Duration,
    /// The guest's own lines.
    pub log: Vec<LogLine>,
}

/// Why a fixture gave no step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A call failed.
    #[error("call {call}: {fault}")]
    Fault {
        /// Which, from 1.
        call: usize,
        /// How.
        fault: Fault,
    },
    /// The guest asks more in a round than the fixture answers.
    #[error("call {call} asks {asked} questions, and {left} answers are left; add the others")]
    AnswersMissing {
        /// Which, from 1.
        call: usize,
        /// Its questions.
        asked: usize,
        /// Answers that are left.
        left: usize,
    },
    /// The guest is done before it has asked for every answer.
    #[error("the guest is done after {used} of {given} answers; delete the others")]
    AnswersLeft {
        /// Answers that it asked for.
        used: usize,
        /// Answers that the fixture has.
        given: usize,
    },
    /// The same input gave something else the second time.
    #[error("the second run gave another step; a guest is a pure function of transcript and answers")]
    Nondeterministic,
    /// A limit of a worker.
    #[error("call {call}: {limit}")]
    OverLimit {
        /// Which, from 1.
        call: usize,
        /// The limit, with what there was.
        limit: String,
    },
}

/// Runs a fixture, twice, within the limits of a job.
///
/// # Errors
/// [`Trouble`].
pub async fn run(guest: &Guest, fixture: &Fixture, limits: &JobLimits) -> Result<Trial, Trouble> {
    let first = once(guest, fixture, limits).await?;
    let second = once(guest, fixture, limits).await?;
    // Fuel is no part of it: what a guest burns may depend on the addresses of its data, what it says may not.
    if first.step != second.step || first.rounds != second.rounds {
        return Err(Trouble::Nondeterministic);
    }
    Ok(first)
}

async fn once(guest: &Guest, fixture: &Fixture, limits: &JobLimits) -> Result<Trial, Trouble> {
    let transcript = Arc::new(fixture.transcript.clone());
    let mut source = FixtureAnswers::new(&fixture.answers);
    let step = match conversation::run(guest, &transcript, limits, &mut source).await {
        Ok(Ending::Accepted(report)) => Step::Accept(report),
        Ok(Ending::Rejected(rejection)) => Step::Reject(rejection),
        Err(Stop::Unanswered(Unanswered::AllUsed(prompts))) => Step::Ask(prompts),
        Err(Stop::Unanswered(Unanswered::Missing(trouble))) => return Err(trouble),
        Err(Stop::Fault { call, fault }) => return Err(Trouble::Fault { call, fault }),
        Err(Stop::OverLimit { call, breach }) => {
            return Err(Trouble::OverLimit { call, limit: breach.to_string() });
        }
        Err(Stop::NoReport { call, fault, .. }) => {
            return Err(Trouble::OverLimit { call, limit: format!("check the report: {fault}") });
        }
    };
    let FixtureAnswers { given, used, rounds, fuel, peak_memory, elapsed, log } = source;
    if used < given.len() {
        return Err(Trouble::AnswersLeft { used, given: given.len() });
    }
    Ok(Trial { rounds, step, fuel, peak_memory, elapsed, log })
}

/// The answers of a fixture, and what the calls of a run took.
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
    /// Every answer is used: these questions are the step that the fixture ends with.
    AllUsed(Vec<Prompt>),
    /// Some are left, and fewer than the round asks.
    Missing(Trouble),
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
            return Err(Unanswered::Missing(Trouble::AnswersMissing { call, asked, left }));
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
