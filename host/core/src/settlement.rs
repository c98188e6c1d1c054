//! How a claim ends.

use std::time::Duration;

use crate::{attempt_usage::AttemptUsage, code::Code, job_error::Step};

/// How a claim ends, written in one transaction. Only the named constructors build it.
#[derive(Debug)]
pub struct Settlement {
    pub outcome: SettleOutcome,
    /// How long the job waits before it can be claimed again; zero for terminal outcomes.
    pub wait: Duration,
    pub failure: Option<Failure>,
    /// Keys and versions that the file row takes over.
    pub result: FileResult,
    pub usage: AttemptUsage,
}

/// The end of a claim, as `job_attempts` keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettleOutcome {
    /// The report is final.
    Succeeded,
    /// The job ended without a report.
    Failed,
    /// The job waits and has used an attempt.
    Retried,
    /// The job waits for a rate limit; the attempt is given back and a snooze counted.
    Snoozed,
    /// The job waits for the operator; the attempt is given back.
    Held,
    /// The worker stops; the attempt is given back.
    Released,
}

impl SettleOutcome {
    /// Returns the outcome as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Snoozed => "snoozed",
            Self::Held => "held",
            Self::Released => "released",
        }
    }
}

/// What the rows keep of an error: no content, only codes, steps and texts without values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    pub step: Step,
    /// Message and causes in one line.
    pub message: String,
}

/// What a terminal settlement writes to the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileResult {
    /// Key of `report.json`.
    pub report_key: Option<String>,
    /// Key of `raw_llm_output.json`.
    pub raw_output_key: Option<String>,
    /// The prompt version that ran.
    pub prompt_version: Option<String>,
    /// The schema version of the report.
    pub schema_version: Option<String>,
    /// The digest of the guest that ran, lower hex.
    pub guest_digest: Option<String>,
}

impl Settlement {
    /// Ends the job with a report.
    pub fn succeeded(result: FileResult, usage: AttemptUsage) -> Self {
        Self { outcome: SettleOutcome::Succeeded, wait: Duration::ZERO, failure: None, result, usage }
    }

    /// Ends the job without a report.
    pub fn failed(failure: Failure, result: FileResult, usage: AttemptUsage) -> Self {
        Self { outcome: SettleOutcome::Failed, wait: Duration::ZERO, failure: Some(failure), result, usage }
    }

    /// Lets the job run again after `wait`.
    pub fn retried(failure: Failure, wait: Duration, usage: AttemptUsage) -> Self {
        Self { outcome: SettleOutcome::Retried, wait, failure: Some(failure), result: FileResult::default(), usage }
    }

    /// Lets the job run again after `wait`; gives the attempt back and counts a snooze.
    pub fn snoozed(failure: Failure, wait: Duration, usage: AttemptUsage) -> Self {
        Self { outcome: SettleOutcome::Snoozed, ..Self::retried(failure, wait, usage) }
    }

    /// Lets the job run again after `wait`; gives the attempt back.
    pub fn held(failure: Failure, wait: Duration, usage: AttemptUsage) -> Self {
        Self { outcome: SettleOutcome::Held, ..Self::retried(failure, wait, usage) }
    }

    /// Lets another worker claim the job at once, because this one stops; gives the attempt back.
    pub fn released(usage: AttemptUsage) -> Self {
        let (wait, result) = (Duration::ZERO, FileResult::default());
        Self { outcome: SettleOutcome::Released, wait, failure: None, result, usage }
    }
}
