//! One failed attempt: a code, the step it happened in, and a chain of causes without content.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::code::{Class, Code};

/// Where in its life a job failed; what `job_attempts.step` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Finding the guest that runs the job.
    ResolveGuest,
    /// Reading the original from the object store.
    ReadTranscript,
    /// A call of the guest's `advance`.
    Advance,
    /// A call of the model.
    CallModel,
    /// Writing or reading a received answer.
    Journal,
    /// The host's second check of an accepted report.
    Verify,
    /// Writing `report.json`.
    WriteReport,
    /// The transaction that finalizes file and job.
    Settle,
    /// Cut short by a request to cancel, wherever the run was.
    Cancel,
}

impl Step {
    /// The step as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
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

/// One failed attempt: what happened and to what, without a word of any document.
///
/// The message and its sources are stored and logged, so they hold codes, sizes, statuses and pointers only.
#[derive(Debug)]
pub struct JobError {
    /// What happened.
    pub code: Code,
    /// One line for a person, free of content.
    pub message: String,
    /// How long the other side asked us to wait; a floor for the next attempt.
    pub retry_after: Option<Duration>,
    /// Whether what failed is known to be away, so that the job is held, whatever the class of the code.
    held: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl JobError {
    /// An error with a one-line message that holds no content.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, held: false, source: None }
    }

    /// Keeps the error that caused this one for the chain.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Keeps the time the other side asked us to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Holds the job: what failed is known to be away, which is no fault of the file's.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// The class of the code, but for a job that is held because what it needs is known to be away.
    pub const fn class(&self) -> Class {
        if self.held { Class::Hold } else { self.code.class() }
    }

    /// Message and sources in one line, outermost first; what the rows keep.
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
