//! An answer of the model as the bucket stores it.

use std::fmt;

use assay_core::job_error::JobError;
use assay_llm::{Completion, ReceivedEnd, Usage, usable};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An answer as the bucket holds it: the part for the guest, and the part for operators.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The answer; empty where the model refused or was filtered. Content.
    pub text: String,
    /// The model's words for its refusal. Content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The model as the provider names it. Content: it may be any text.
    pub model: String,
    /// Why the model stopped, in the provider's word.
    pub finish_reason: String,
    /// Tokens, if the provider counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<StoredUsage>,
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredUsage {
    /// Tokens of the question, cached ones included.
    pub input_tokens: u64,
    /// Tokens of the answer, reasoning included.
    pub output_tokens: u64,
    /// Tokens of the question that the provider's cache had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Tokens of the question that went into the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens of the answer that went into reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// What the provider says that the call cost, in its own currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

impl From<Usage> for StoredUsage {
    fn from(usage: Usage) -> Self {
        let Usage { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, cost } = usage;
        Self { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, cost }
    }
}

/// Shows sizes instead of texts.
impl fmt::Debug for StoredAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredAnswer")
            .field("text_bytes", &self.text.len())
            .field("refused", &self.refusal.is_some())
            .field("finish_reason", &self.finish_reason)
            .field("usage", &self.usage)
            .finish()
    }
}

impl From<Completion> for StoredAnswer {
    fn from(completion: Completion) -> Self {
        Self {
            text: completion.text,
            refusal: completion.refusal,
            model: completion.model,
            finish_reason: completion.finish_reason,
            usage: completion.usage.map(StoredUsage::from),
        }
    }
}

impl StoredAnswer {
    /// Checks whether a guest may see this answer.
    ///
    /// # Errors
    /// As [`usable`].
    pub fn usable(&self) -> Result<(), JobError> {
        usable(&ReceivedEnd {
            finish_reason: &self.finish_reason,
            refused: self.refusal.is_some(),
            text: &self.text,
            output_tokens: self.usage.map(|usage| usage.output_tokens),
            reasoning_tokens: self.usage.and_then(|usage| usage.reasoning_tokens),
        })
    }

    pub(super) fn encode(&self) -> Bytes {
        let bytes = serde_json::to_vec(self).expect("strings and numbers are always JSON");
        // Kept until the job is settled, so without spare capacity.
        bytes.into_boxed_slice().into()
    }
}
