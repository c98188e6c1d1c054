//! What a model gave us, and whether a guest may see it.

use std::{fmt, time::Duration};

use assay_core::{code::Code, job_error::JobError};

use super::adapt::Adapted;

/// One received answer. Paid for, whatever it is worth: it is journaled first, then looked at with [`Completion::usable`].
#[derive(Clone, PartialEq)]
pub struct Completion {
    /// The answer; empty where the model refused or was filtered.
    pub text: String,
    /// The model's words for refusing. Content: for the raw output in the object store only.
    pub refusal: Option<String>,
    /// The model as the provider names it.
    pub model: String,
    /// Why the model stopped, in the provider's word; empty where it gave none.
    pub finish_reason: String,
    /// What it cost, where the provider tells.
    pub usage: Option<Usage>,
    /// How the request differed from the first choice.
    pub adapted: Adapted,
    /// The whole call, fall-backs included.
    pub elapsed: Duration,
}

/// The price of a completion in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub output_tokens: u64,
}

impl Completion {
    /// Whether a guest may see this answer.
    ///
    /// # Errors
    /// As [`usable`].
    pub fn usable(&self) -> Result<(), JobError> {
        usable(&self.finish_reason, self.refusal.is_some())
    }
}

/// Whether a guest may see an answer of which only the journal's entry is at hand. The finish reason is looked at first:
/// a truncated answer may parse, and a filtered one looks like an empty one.
///
/// # Errors
/// `llm_output_truncated`, `llm_content_filtered`, `llm_refused`: all terminal, since the same answer is what a retry
/// would find in the journal.
pub fn usable(finish_reason: &str, refused: bool) -> Result<(), JobError> {
    match Ending::of(finish_reason) {
        Ending::Truncated => Err(JobError::new(Code::LlmOutputTruncated, "use the answer: cut at the token limit")),
        Ending::Filtered => Err(JobError::new(Code::LlmContentFiltered, "use the answer: withheld by a filter")),
        Ending::Refused => Err(JobError::new(Code::LlmRefused, "use the answer: the model refused")),
        Ending::Whole | Ending::Broken if refused => {
            Err(JobError::new(Code::LlmRefused, "use the answer: the model refused"))
        }
        Ending::Whole | Ending::Broken => Ok(()),
    }
}

/// What a finish reason says about the text beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As far as the provider tells, the text is all there.
    Whole,
    Truncated,
    Filtered,
    Refused,
    /// The generation failed on the provider's side: there is no answer, whatever text is there.
    Broken,
}

impl Ending {
    /// OpenAI's words, and those of the servers and gateways that kept their own. What is unknown or missing is whole:
    /// compatible servers send "", null and words of their own for an ordinary end.
    pub(super) fn of(finish_reason: &str) -> Self {
        match finish_reason.to_ascii_lowercase().as_str() {
            "length"
            | "max_tokens"
            | "max_output_tokens"
            | "model_length"
            | "model_context_window_exceeded"
            | "incomplete" => Self::Truncated,
            "content_filter" | "safety" | "recitation" | "blocklist" | "prohibited_content" | "spii" | "sensitive" => {
                Self::Filtered
            }
            "refusal" => Self::Refused,
            // OpenRouter, DeepSeek, Zhipu, vLLM: the upstream failed in the middle.
            "error" | "insufficient_system_resource" | "network_error" | "abort" => Self::Broken,
            _ => Self::Whole,
        }
    }
}

/// Sizes instead of texts, so that no answer slips into a log through a debug print.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn code(finish_reason: &str, refused: bool) -> Option<Code> {
        usable(finish_reason, refused).err().map(|error| error.code)
    }

    #[test]
    fn an_ordinary_end_is_usable_in_every_dialect() {
        for reason in ["stop", "", "eos", "STOP", "end_turn", "tool_calls"] {
            assert_eq!(code(reason, false), None, "{reason}");
        }
    }

    #[test]
    fn the_finish_reason_goes_before_a_refusal() {
        assert_eq!(code("length", true), Some(Code::LlmOutputTruncated));
        assert_eq!(code("MAX_TOKENS", false), Some(Code::LlmOutputTruncated));
        assert_eq!(code("content_filter", true), Some(Code::LlmContentFiltered));
        assert_eq!(code("SAFETY", false), Some(Code::LlmContentFiltered));
        assert_eq!(code("refusal", false), Some(Code::LlmRefused));
        assert_eq!(code("stop", true), Some(Code::LlmRefused));
    }

    #[test]
    fn a_journaled_answer_is_never_worth_a_retry() {
        use assay_core::code::Class;
        for reason in ["length", "content_filter", "refusal"] {
            let error = usable(reason, false).unwrap_err();
            assert_eq!(error.class(), Class::Fail, "a retry would find the same journal: {reason}");
        }
    }
}
