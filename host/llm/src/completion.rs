//! A received answer.

use std::{fmt, time::Duration};

use assay_core::job_error::JobError;

use crate::{adapted::Adapted, finish_reason::usable, plain_word::shown_model};

/// A received answer. It is paid for, so it is journaled before [`Completion::usable`] checks it.
#[derive(Clone, PartialEq)]
pub struct Completion {
    /// The answer; empty if the model refused or a filter withheld it.
    pub text: String,
    /// The model's refusal. Content: only for the raw output in the object store.
    pub refusal: Option<String>,
    /// The model as the provider names it. Content: it may be any text.
    pub model: String,
    /// The model as the configuration names it.
    pub asked: String,
    /// Why the model stopped: a word that providers use, or `other`; may be empty.
    pub finish_reason: String,
    /// The tokens, if the provider counts them.
    pub usage: Option<Usage>,
    /// What the request left out.
    pub adapted: Adapted,
    /// Duration of the call, fall-backs included.
    pub elapsed: Duration,
}

/// The tokens of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub output_tokens: u64,
}

impl Completion {
    /// Returns the name of the model as a row may have it.
    pub fn shown_model(&self) -> &str {
        shown_model(&self.model, &self.asked)
    }

    /// Checks whether a guest may see this answer.
    ///
    /// # Errors
    /// As [`usable`](crate::usable).
    pub fn usable(&self) -> Result<(), JobError> {
        usable(&self.finish_reason, self.refusal.is_some())
    }
}

/// Shows sizes instead of texts, so that a debug print cannot log an answer.
impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("text_bytes", &self.text.len())
            .field("refused", &self.refusal.is_some())
            .field("model", &self.shown_model())
            .field("finish_reason", &self.finish_reason)
            .field("usage", &self.usage)
            .field("adapted", &self.adapted)
            .field("elapsed", &self.elapsed)
            .finish()
    }
}
