//! The result of a trial, as `--json` prints it.

use std::path::PathBuf;

use assay_llm::{Completion, Usage};
use assay_runtime::{Answer, Call, Finding, Guest, LogLine, Prompt, Step};
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Serialize)]
pub struct TrialReport {
    /// Prompt version.
    pub guest: String,
    pub schema_version: String,
    /// SHA-256 of the component.
    pub digest: String,
    pub toolchain: Option<String>,
    /// Warnings of the build.
    pub warnings: Vec<String>,
    pub rounds: Vec<Round>,
    /// The last step. `None` after an error.
    pub step: Option<Value>,
    /// Findings of the host's second check on an accepted report.
    pub findings: Vec<Finding>,
    pub log: Vec<LogLine>,
    pub cost: Cost,
    /// The folder of the recorded fixture.
    pub recorded: Option<PathBuf>,
    pub error: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct Cost {
    pub calls: usize,
    pub fuel: u64,
    /// Linear memory at its largest, in bytes.
    pub peak_memory: usize,
    /// In the sandbox, in seconds.
    pub seconds: f64,
    /// Zero if the provider does not count tokens.
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// What was paid for without an answer; counted in the two above.
    #[serde(skip)]
    pub unanswered: Usage,
}

/// Questions that were asked together.
#[derive(Debug, Serialize)]
pub struct Round {
    pub questions: Vec<Value>,
    pub answers: Vec<Answered>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Answered {
    pub text: String,
    pub model: String,
    pub finish_reason: String,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// Tokens of the question that the provider's cache had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens of the answer that went into reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// What the provider says that the call cost, in its own currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Words about the call, such as `input_truncated`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub notes: &'static [&'static str],
    /// Time until the answer came.
    pub seconds: f64,
}

impl TrialReport {
    pub fn new(guest: &Guest, toolchain: Option<String>, warnings: Vec<String>) -> Self {
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

    pub fn add_call(&mut self, call: &Call<Step>) {
        self.cost.calls += 1;
        self.cost.fuel += call.fuel.unwrap_or_default();
        self.cost.peak_memory = self.cost.peak_memory.max(call.peak_memory);
        self.cost.seconds += call.elapsed.as_secs_f64();
        self.log.extend(call.log.iter().cloned());
    }

    /// Counts what was paid for without an answer.
    pub fn add_unanswered(&mut self, usage: Usage) {
        self.cost.unanswered.input_tokens += usage.input_tokens;
        self.cost.unanswered.output_tokens += usage.output_tokens;
    }

    /// Sums up the tokens.
    pub fn summed(mut self) -> Self {
        self.count_tokens();
        self
    }

    fn count_tokens(&mut self) {
        let answers = || self.rounds.iter().flat_map(|round| &round.answers);
        let (input, output): (u64, u64) = (
            answers().filter_map(|answer| answer.input_tokens).sum(),
            answers().filter_map(|answer| answer.output_tokens).sum(),
        );
        let Usage { input_tokens, output_tokens, .. } = self.cost.unanswered;
        (self.cost.input_tokens, self.cost.output_tokens) = (input + input_tokens, output + output_tokens);
    }

    /// Returns whether a worker would have written a report.
    pub fn ok(&self) -> bool {
        self.error.is_none()
            && self.findings.is_empty()
            && self.step.as_ref().is_some_and(|step| step.get("accept").is_some())
    }
}

impl Round {
    pub fn new(prompts: &[Prompt], answers: Vec<Answered>) -> Self {
        let asked = assay_guest_test::step_json(&Step::Ask(prompts.to_vec()));
        let questions = asked["ask"].as_array().cloned().unwrap_or_default();
        Self { questions, answers }
    }
}

impl Answered {
    /// Returns an answer that comes from a file.
    pub fn from_file(text: String) -> Self {
        let finish_reason = "stop".to_owned();
        Self { text, model: "file".to_owned(), finish_reason, ..Self::default() }
    }

    /// Returns the same answer for a later run, without tokens and time.
    pub fn again(&self) -> Self {
        let Self { text, model, finish_reason, notes, .. } = self.clone();
        Self { text, model, finish_reason, notes, ..Self::default() }
    }

    /// Returns the answer as the guest sees it.
    pub fn answer(&self) -> Answer {
        Answer { text: self.text.clone(), model: self.model.clone() }
    }
}

impl From<Completion> for Answered {
    fn from(completion: Completion) -> Self {
        let usage = completion.usage;
        Self {
            text: completion.text,
            model: completion.model,
            finish_reason: completion.finish_reason,
            input_tokens: usage.map(|usage| usage.input_tokens),
            output_tokens: usage.map(|usage| usage.output_tokens),
            cached_tokens: usage.and_then(|usage| usage.cached_tokens),
            cache_write_tokens: usage.and_then(|usage| usage.cache_write_tokens),
            reasoning_tokens: usage.and_then(|usage| usage.reasoning_tokens),
            cost: usage.and_then(|usage| usage.cost),
            notes: if completion.input_truncated { &["input_truncated"] } else { &[] },
            seconds: completion.elapsed.as_secs_f64(),
        }
    }
}
