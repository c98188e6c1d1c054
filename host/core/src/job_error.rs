//! The error of a failed attempt: a code, a message and its causes, all without content.

use std::{
    error::Error as StdError,
    fmt,
    time::{Duration, Instant},
};

use crate::{
    breaker::Dependency,
    code::{Class, Code},
};

/// The step in which a job failed, as `job_attempts.step` holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Reads the rows of the job and its file.
    ReadRow,
    /// Finds the guest that runs the job.
    ResolveGuest,
    /// Reads the original from the object store.
    ReadTranscript,
    /// Calls the guest's `advance`.
    Advance,
    /// Calls the model.
    CallModel,
    /// Writes or reads a received answer.
    Journal,
    /// Validates an accepted report a second time, in the host.
    Verify,
    /// Writes `report.json`.
    WriteReport,
    /// Finalizes file and job in one transaction.
    Settle,
    /// Stands for the step during which the job was cancelled.
    Cancel,
}

impl Step {
    /// Returns the step as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadRow => "read_row",
            Self::ResolveGuest => "resolve_guest",
            Self::ReadTranscript => "read_transcript",
            Self::Advance => "advance",
            Self::CallModel => "call_model",
            Self::Journal => "journal",
            Self::Verify => "verify",
            Self::WriteReport => "write_report",
            Self::Settle => "settle",
            Self::Cancel => "cancel",
        }
    }
}

/// A call of a dependency that failed.
#[derive(Clone, Debug)]
pub struct FailedCall {
    pub dependency: Dependency,
    pub begun: Instant,
}

/// The error of a failed attempt.
///
/// Message and sources are stored and logged, so they hold no content: only codes, sizes, statuses and pointers.
#[derive(Debug)]
pub struct JobError {
    pub code: Code,
    /// One line for a person, without content.
    pub message: String,
    /// How long the dependency asked us to wait: the next attempt is not earlier.
    pub retry_after: Option<Duration>,
    /// Whether the breaker of the failed dependency is open: the job is then held, independent of the code's class.
    held: bool,
    /// The call that failed, if a dependency was called.
    pub call: Option<FailedCall>,
    /// The name of what the model sent in place of an answer: the same answer has the same name.
    pub unreadable: Option<Box<str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl JobError {
    /// Builds an error. The message is one line without content.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            held: false,
            call: None,
            unreadable: None,
            source: None,
        }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets how long the dependency asked us to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Names the dependency whose call failed, and when the call began.
    #[must_use]
    pub fn at_call(mut self, dependency: Dependency, begun: Instant) -> Self {
        self.call = Some(FailedCall { dependency, begun });
        self
    }

    /// Names what the model sent in place of an answer.
    #[must_use]
    pub fn about_answer(mut self, name: Option<String>) -> Self {
        self.unreadable = name.map(String::into_boxed_str);
        self
    }

    /// Holds the job: while a dependency's breaker is open, its failures use no attempt.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// Returns [`Class::Hold`] for a held error, else the class of the code.
    pub const fn class(&self) -> Class {
        if self.held { Class::Hold } else { self.code.class() }
    }

    /// Returns whether the breaker of the failed dependency holds the job.
    pub const fn is_held(&self) -> bool {
        self.held
    }

    /// Returns message and sources in one line, outermost first, as the rows keep them.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(error) = next {
            text.push_str(": ");
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl StdError for JobError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause_once() {
        let error = JobError::new(Code::S3ReadFailed, "read the original").caused_by(std::io::Error::other("reset"));
        assert_eq!(error.chain(), "read the original: reset");
        assert_eq!(error.to_string(), "s3_read_failed: read the original");
    }
}
