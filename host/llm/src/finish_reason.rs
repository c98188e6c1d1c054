//! Why a model stopped, and whether a guest may see such an answer.

use assay_core::{code::Code, job_error::JobError};

/// Checks whether a guest may see an answer. The finish reason decides before the text: a truncated answer may parse, and a
/// filtered answer looks like an empty one.
///
/// # Errors
/// `llm_output_truncated`, `llm_content_filtered`, `llm_refused`. All end the job, because a retry would find the same
/// answer in the journal.
pub fn usable(finish_reason: &str, refused: bool) -> Result<(), JobError> {
    match FinishReason::of(finish_reason) {
        FinishReason::Truncated => {
            Err(JobError::new(Code::LlmOutputTruncated, "use the answer: cut at the token limit"))
        }
        FinishReason::Filtered => Err(JobError::new(Code::LlmContentFiltered, "use the answer: withheld by a filter")),
        FinishReason::Refused => Err(JobError::new(Code::LlmRefused, "use the answer: the model refused")),
        FinishReason::Whole | FinishReason::Broken if refused => {
            Err(JobError::new(Code::LlmRefused, "use the answer: the model refused"))
        }
        FinishReason::Whole | FinishReason::Broken => Ok(()),
    }
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishReason {
    /// The text is complete, as far as the provider says.
    Whole,
    Truncated,
    Filtered,
    Refused,
    /// The generation failed on the provider's side: any text is not an answer.
    Broken,
}

/// Words for an ordinary end.
const ORDINARY_ENDS: &[&str] = &[
    "complete",
    "completed",
    "end_turn",
    "eos",
    "eos_token",
    "finished",
    "function_call",
    "stop",
    "stop_sequence",
    "tool_calls",
    "tool_use",
];

/// Returns the word for an end as a row may have it: in lower case, `other` for a word that no provider is known for, and empty
/// without a word.
pub(crate) fn shown_end(finish_reason: &str) -> String {
    let word = finish_reason.to_ascii_lowercase();
    let is_known = ORDINARY_ENDS.contains(&word.as_str()) || FinishReason::of(&word) != FinishReason::Whole;
    if word.is_empty() || is_known { word } else { "other".to_owned() }
}

impl FinishReason {
    /// Reads the words of OpenAI and of servers and gateways with their own words. An unknown or missing word means a whole
    /// answer: compatible servers send "", null or their own words for an ordinary end.
    pub(crate) fn of(finish_reason: &str) -> Self {
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
            // OpenRouter, DeepSeek, Zhipu, vLLM: the upstream failed during the answer.
            "error" | "insufficient_system_resource" | "network_error" | "abort" => Self::Broken,
            _ => Self::Whole,
        }
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
    fn an_end_is_shown_by_a_known_word() {
        for (word, shown) in
            [("stop", "stop"), ("END_TURN", "end_turn"), ("SAFETY", "safety"), ("length", "length"), ("", "")]
        {
            assert_eq!(shown_end(word), shown);
        }
        for word in ["hunter2", "stopped by Bob", "stop2", "other", " "] {
            assert_eq!(shown_end(word), "other", "{word}");
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
    fn an_unusable_answer_is_never_retried() {
        use assay_core::code::Class;
        for reason in ["length", "content_filter", "refusal"] {
            let error = usable(reason, false).unwrap_err();
            assert_eq!(error.class(), Class::Fail, "a retry would find the same journal: {reason}");
        }
    }
}
