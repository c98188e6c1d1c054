//! The error of a failed call of the model, without content.

use std::{error::Error as StdError, fmt, time::Duration};

use assay_core::{code::Code, job_error::JobError};

use crate::unreadable::UnreadableAnswer;

/// A failed call of the model.
///
/// The message holds statuses, known codes and times. It never holds the text of a provider, which may quote the prompt.
#[derive(Debug)]
pub struct LlmError {
    pub code: Code,
    /// One line for a person.
    pub message: String,
    /// How long the provider asked us to wait.
    pub retry_after: Option<Duration>,
    /// A success that holds no answer.
    pub unreadable: Option<Box<UnreadableAnswer>>,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl LlmError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, unreadable: None, source: None }
    }

    /// Drops the URL from the source: its query may hold a secret.
    pub(crate) fn network(message: impl Into<String>, source: reqwest::Error) -> Self {
        Self { source: Some(source.without_url().into()), ..Self::new(Code::LlmNetworkError, message) }
    }

    pub(crate) fn timeout(what: &str, limit: Duration, variable: &str) -> Self {
        Self::new(Code::LlmTimeout, format!("call the model: {what} within {limit:?} ({variable})"))
    }
}

impl From<LlmError> for JobError {
    fn from(error: LlmError) -> Self {
        let job_error = Self::new(error.code, error.message).retry_after(error.retry_after);
        match error.source {
            Some(source) => job_error.caused_by(source),
            None => job_error,
        }
    }
}

impl fmt::Display for LlmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for LlmError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
