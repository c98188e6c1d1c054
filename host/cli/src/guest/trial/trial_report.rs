//! The result of a trial, as `--json` prints it.

use std::path::PathBuf;

use assay_llm::Completion;
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
}

/// Questions that were asked together.
#[derive(Debug, Serialize)]
pub struct Round {
    pub questions: Vec<Value>,
    pub answers: Vec<Answered>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Answered {
    pub text: String,
    pub model: String,
    pub finish_reason: String,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
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

    /// Sums up the tokens.
    pub fn summed(mut self) -> Self {
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
        Self { text, model: "file".to_owned(), finish_reason, input_tokens: None, output_tokens: None, seconds: 0.0 }
    }

    /// Returns the same answer for a later run, without tokens and time.
    pub fn again(&self) -> Self {
        Self { input_tokens: None, output_tokens: None, seconds: 0.0, ..self.clone() }
    }

    /// Returns the answer as the guest sees it.
    pub fn answer(&self) -> Answer {
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
