//! A received answer.

use std::{fmt, time::Duration};

use assay_core::{attempt_usage::Tokens, job_error::JobError};

use crate::{
    adapted::Adapted,
    finish_reason::{ReceivedEnd, usable},
    plain_word::shown_model,
};

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
    /// What the call used, if the provider counts it.
    pub usage: Option<Usage>,
    /// The provider counted far too few tokens for the prompt: it has cut it without a word.
    pub input_truncated: bool,
    /// What the request left out.
    pub adapted: Adapted,
    /// Duration of the call, fall-backs included.
    pub elapsed: Duration,
}

/// What a call used, as the provider counts it. What it does not count is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: u64,
    /// Tokens of the answer, reasoning included.
    pub output_tokens: u64,
    /// Tokens of the prompt that the provider's cache had.
    pub cached_tokens: Option<u64>,
    /// Tokens of the prompt that went into the cache.
    pub cache_write_tokens: Option<u64>,
    /// Tokens of the answer that went into reasoning.
    pub reasoning_tokens: Option<u64>,
    /// What the provider or gateway says that the call cost, in its own currency.
    pub cost: Option<f64>,
}

impl Usage {
    /// Returns whether a provider can mean these counts; rows refuse others.
    pub(crate) fn is_plausible(&self) -> bool {
        self.input_tokens.max(self.output_tokens) <= Tokens::MAX_PLAUSIBLE
    }
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
        usable(&ReceivedEnd {
            finish_reason: &self.finish_reason,
            refused: self.refusal.is_some(),
            text: &self.text,
            output_tokens: self.usage.map(|usage| usage.output_tokens),
            reasoning_tokens: self.usage.and_then(|usage| usage.reasoning_tokens),
        })
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
