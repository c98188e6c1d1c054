//! An answer of the model as the bucket stores it.

use std::fmt;

use assay_llm::Completion;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredUsage {
    /// Tokens of the question.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
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
        let usage = completion
            .usage
            .map(|usage| StoredUsage { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens });
        Self {
            text: completion.text,
            refusal: completion.refusal,
            model: completion.model,
            finish_reason: completion.finish_reason,
            usage,
        }
    }
}

impl StoredAnswer {
    pub(super) fn encode(&self) -> Bytes {
        let bytes = serde_json::to_vec(self).expect("strings and numbers are always JSON");
        // Kept until the job is settled, so without spare capacity.
        bytes.into_boxed_slice().into()
    }
}
