//! What happened in a trial, as `--json` prints it.

use std::path::PathBuf;

use assay_llm::Completion;
use assay_runtime::{Answer, Call, Finding, Guest, LogLine, Prompt, Step};
use serde::Serialize;
use serde_json::Value;

/// The whole trial.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    /// Prompt version.
    pub(super) guest: String,
    /// Schema version.
    pub(super) schema_version: String,
    /// sha256 of the component.
    pub(super) digest: String,
    /// The compiler that made it.
    pub(super) toolchain: Option<String>,
    /// What its author should know of its build.
    pub(super) warnings: Vec<String>,
    /// Questions and answers.
    pub(super) rounds: Vec<Round>,
    /// The last step.
    pub(super) step: Option<Value>,
    /// What the host's own check says of an accepted report.
    pub(super) findings: Vec<Finding>,
    /// What the guest wrote.
    pub(super) log: Vec<LogLine>,
    /// What it took.
    pub(super) cost: Cost,
    /// The fixture that was saved.
    pub(super) recorded: Option<PathBuf>,
    /// Why there is no step, or no fixture of it.
    pub(super) error: Option<String>,
}

/// What a trial took.
#[derive(Debug, Default, Serialize)]
pub(super) struct Cost {
    pub(super) calls: usize,
    pub(super) fuel: u64,
    /// Linear memory at its largest, in bytes.
    pub(super) peak_memory: usize,
    /// In the sandbox, in seconds.
    pub(super) seconds: f64,
    /// Of all questions, where the provider tells.
    pub(super) input_tokens: u64,
    /// Of all answers.
    pub(super) output_tokens: u64,
}

/// Questions that were asked together.
#[derive(Debug, Serialize)]
pub(super) struct Round {
    pub(super) questions: Vec<Value>,
    pub(super) answers: Vec<Answered>,
}

/// One answer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answered {
    pub(super) text: String,
    pub(super) model: String,
    pub(super) finish_reason: String,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    /// Waiting for it.
    pub(super) seconds: f64,
}

impl Story {
    pub(super) fn new(guest: &Guest, toolchain: Option<String>, warnings: Vec<String>) -> Self {
        Self {
            guest: guest.manifest().prompt_version.clone(),
            schema_version: guest.manifest().schema_version.clone(),
            digest: guest.digest().to_string(),
            toolchain,
            warnings,
            rounds: Vec::new(),
            step: None,
            findings: Vec::new(),
            log: Vec::new(),
            cost: Cost::default(),
            recorded: None,
            error: None,
        }
    }

    pub(super) fn add_call(&mut self, call: &Call<Step>) {
        self.cost.calls += 1;
        self.cost.fuel += call.fuel.unwrap_or_default();
        self.cost.peak_memory = self.cost.peak_memory.max(call.peak_memory);
        self.cost.seconds += call.elapsed.as_secs_f64();
        self.log.extend(call.log.iter().cloned());
    }

    /// The story with its sums made.
    pub(super) fn summed(mut self) -> Self {
        self.count_tokens();
        self
    }

    fn count_tokens(&mut self) {
        let answers = || self.rounds.iter().flat_map(|round| &round.answers);
        let (input, output) = (
            answers().filter_map(|answer| answer.input_tokens).sum(),
            answers().filter_map(|answer| answer.output_tokens).sum(),
        );
        (self.cost.input_tokens, self.cost.output_tokens) = (input, output);
    }

    /// Whether a worker would have written a report.
    pub(super) fn ok(&self) -> bool {
        self.error.is_none()
            && self.findings.is_empty()
            && self.step.as_ref().is_some_and(|step| step.get("accept").is_some())
    }
}

impl Round {
    pub(super) fn new(prompts: &[Prompt], answers: Vec<Answered>) -> Self {
        let asked = assay_guest_test::step_json(&Step::Ask(prompts.to_vec()));
        let questions = asked["ask"].as_array().cloned().unwrap_or_default();
        Self { questions, answers }
    }
}

impl Answered {
    /// An answer that nobody gave.
    pub(super) fn from_file(text: String) -> Self {
        let finish_reason = "stop".to_owned();
        Self { text, model: "file".to_owned(), finish_reason, input_tokens: None, output_tokens: None, seconds: 0.0 }
    }

    /// The same answer where it was known already: nothing was waited for and nothing was paid.
    pub(super) fn again(&self) -> Self {
        Self { input_tokens: None, output_tokens: None, seconds: 0.0, ..self.clone() }
    }

    /// As the guest sees it.
    pub(super) fn answer(&self) -> Answer {
        Answer { text: self.text.clone(), model: self.model.clone() }
    }
}

impl From<Completion> for Answered {
    fn from(completion: Completion) -> Self {
        Self {
            text: completion.text,
            model: completion.model,
            finish_reason: completion.finish_reason,
            input_tokens: completion.usage.map(|usage| usage.input_tokens),
            output_tokens: completion.usage.map(|usage| usage.output_tokens),
            seconds: completion.elapsed.as_secs_f64(),
        }
    }
}
