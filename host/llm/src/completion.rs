//! A received answer.

use std::{fmt, time::Duration};

use assay_core::job_error::JobError;

use crate::{adapted::Adapted, finish_reason::usable};

/// A received answer. It is paid for, so it is journaled before [`Completion::usable`] checks it.
#[derive(Clone, PartialEq)]
pub struct Completion {
    /// The answer; empty if the model refused or a filter withheld it.
    pub text: String,
    /// The model's refusal. Content: only for the raw output in the object store.
    pub refusal: Option<String>,
    /// The model as the provider names it.
    pub model: String,
    /// Why the model stopped, in the provider's word; may be empty.
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
            .field("model", &self.model)
            .field("finish_reason", &self.finish_reason)
            .field("usage", &self.usage)
            .field("adapted", &self.adapted)
            .field("elapsed", &self.elapsed)
            .finish()
    }
}
