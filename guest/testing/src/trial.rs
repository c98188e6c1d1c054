//! One fixture in the sandbox: every round of it, twice.

use std::sync::Arc;
use std::time::Duration;

use assay_runtime::{Call, Fault, Guest, JobLimits, LogLine, Prompt, Step};

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
    let mut rounds: Vec<Vec<Prompt>> = Vec::new();
    let (mut fuel, mut peak_memory, mut elapsed, mut log) = (0, 0, Duration::ZERO, Vec::new());
    let mut used = 0;
    let step = loop {
        let number = rounds.len() + 1;
        let call: Call<Step> = guest.advance(&transcript, &fixture.answers[..used]).await;
        fuel += call.fuel.unwrap_or_default();
        peak_memory = peak_memory.max(call.peak_memory);
        elapsed += call.elapsed;
        log.extend(call.log);
        match call.result.map_err(|fault| Trouble::Fault { call: number, fault })? {
            Step::Ask(prompts) => {
                let over = asks_too_much(&prompts, rounds.len(), used, limits);
                if let Some(limit) = over {
                    return Err(Trouble::OverLimit { call: number, limit });
                }
                let left = fixture.answers.len() - used;
                if left == 0 {
                    break Step::Ask(prompts);
                }
                if prompts.len() > left {
                    return Err(Trouble::AnswersMissing { call: number, asked: prompts.len(), left });
                }
                used += prompts.len();
                rounds.push(prompts);
            }
            Step::Accept(report) => {
                let fault = |fault| Trouble::OverLimit { call: number, limit: format!("a report: {fault}") };
                limits.check_report(&report.document).map_err(fault)?;
                break Step::Accept(report);
            }
            step @ Step::Reject(_) => break step,
        }
    };
    if used < fixture.answers.len() {
        return Err(Trouble::AnswersLeft { used, given: fixture.answers.len() });
    }
    Ok(Trial { rounds, step, fuel, peak_memory, elapsed, log })
}

/// The limit of a job that a round of questions breaks, with what there was; `rounds` and `used` questions were before it.
pub fn asks_too_much(prompts: &[Prompt], rounds: usize, used: usize, limits: &JobLimits) -> Option<String> {
    let bytes = prompts.iter().map(Prompt::bytes).max().unwrap_or(0);
    if rounds == limits.rounds {
        Some(format!("more than {} rounds of questions (GUEST_MAX_ROUNDS)", limits.rounds))
    } else if used + prompts.len() > limits.prompts {
        Some(format!("more than {} questions (GUEST_MAX_PROMPTS)", limits.prompts))
    } else if bytes > limits.prompt_bytes {
        Some(format!("a question of {bytes} bytes, over {} (PROMPT_MAX_BYTES)", limits.prompt_bytes))
    } else {
        None
    }
}
