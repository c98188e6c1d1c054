//! Why a model stopped, and whether a guest may see such an answer.

use assay_core::{code::Code, job_error::JobError};
use serde::de::IgnoredAny;

use crate::{answer::Asked, completion::Usage};

/// Checks whether a guest may see an answer. The finish reason decides before the text: a truncated answer may parse, and a
/// filtered answer looks like an empty one.
///
/// # Errors
/// `llm_output_truncated`, `llm_content_filtered`, `llm_refused`. All end the job, because a retry would find the same
/// answer in the journal.
pub fn usable(answer: &ReceivedEnd<'_>) -> Result<(), JobError> {
    let ReceivedEnd { finish_reason, refused, .. } = *answer;
    match FinishReason::of(finish_reason, Ending::PLAIN) {
        FinishReason::Truncated => {
            Err(JobError::new(Code::LlmOutputTruncated, format!("use the answer: {}", answer.why_truncated())))
        }
        FinishReason::Filtered => Err(JobError::new(Code::LlmContentFiltered, "use the answer: withheld by a filter")),
        FinishReason::Refused => Err(JobError::new(Code::LlmRefused, "use the answer: the model refused")),
        FinishReason::Whole | FinishReason::Broken if refused => {
            Err(JobError::new(Code::LlmRefused, "use the answer: the model refused"))
        }
        FinishReason::Whole | FinishReason::Broken => Ok(()),
    }
}

/// What a received answer shows about its end.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedEnd<'a> {
    /// Why the model stopped, as the row keeps it.
    pub finish_reason: &'a str,
    pub refused: bool,
    /// The text. Content.
    pub text: &'a str,
    /// Tokens of the answer, reasoning included.
    pub output_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
}

/// White space at the end of an answer that no document has: the model ran in a loop.
const LOOP_BYTES: usize = 1000;

impl ReceivedEnd<'_> {
    fn why_truncated(&self) -> String {
        let cut = "cut at the token limit";
        if self.text.len() - self.text.trim_end().len() >= LOOP_BYTES {
            return format!("{cut} after white space without end: use another model, or no answer schema");
        }
        match (self.reasoning_tokens, self.output_tokens) {
            // Nearly all: the document did not get a tenth.
            (Some(reasoning), Some(output)) if output > 0 && reasoning >= output - output / 10 => {
                format!("{cut}: {reasoning} of {output} tokens went into reasoning")
            }
            _ => cut.to_owned(),
        }
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

/// What an answer shows about its end, beside the provider's word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub has_text: bool,
    /// A document that breaks off where the tokens are used up.
    pub is_cut: bool,
}

impl Ending {
    /// An answer that shows nothing.
    const PLAIN: Self = Self { has_text: true, is_cut: false };
}

/// Words for the end of an answer, in lower case. Sources: BerriAI/litellm core_helpers.py, the types of openai-python and
/// anthropic-sdk-python, Gemini's FinishReason, and the documentation of DeepSeek, Zhipu and OpenRouter.
const ENDS: &[(FinishReason, &[&str])] = &[
    (
        FinishReason::Whole,
        &[
            "",
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
        ],
    ),
    (
        FinishReason::Truncated,
        &[
            "length",
            "max_tokens",
            "max_output_tokens",
            "model_length",
            "model_context_window_exceeded",
            "incomplete",
            "compaction",
        ],
    ),
    (
        FinishReason::Filtered,
        &[
            "content_filter",
            "content_filtered",
            "safety",
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "language",
            "sensitive",
            "image_safety",
            "image_prohibited_content",
            "image_recitation",
            "image_other",
            "guardrail_intervened",
            "guardrails",
            "error_toxic",
        ],
    ),
    (FinishReason::Refused, &["refusal"]),
    (
        FinishReason::Broken,
        &[
            "error",
            "abort",
            "cancelled",
            "failed",
            "network_error",
            "insufficient_system_resource",
            "malformed_response",
            "malformed_function_call",
            "pause_turn",
        ],
    ),
];

/// Gemini's word for an end that it does not explain. Without a text it is a filter.
const UNEXPLAINED: &str = "other";

impl FinishReason {
    /// Reads the words of OpenAI and of servers and gateways with their own words. An unknown or missing word means a whole
    /// answer: compatible servers send "", null or their own words for an ordinary end.
    pub(crate) fn of(finish_reason: &str, ending: Ending) -> Self {
        let word = finish_reason.to_ascii_lowercase();
        if word == UNEXPLAINED && !ending.has_text {
            return Self::Filtered;
        }
        match Self::by_word(&word) {
            None | Some(Self::Whole) if ending.is_cut => Self::Truncated,
            known => known.unwrap_or(Self::Whole),
        }
    }

    fn by_word(word: &str) -> Option<Self> {
        ENDS.iter().find(|(_, words)| words.contains(&word)).map(|(reason, _)| *reason)
    }

    /// Returns the word for this end as a row may have it: the provider's in lower case where it is known and means the same,
    /// else a word of OpenAI's, else `other`.
    pub(crate) fn shown(self, finish_reason: &str) -> String {
        let word = finish_reason.to_ascii_lowercase();
        match (self, Self::by_word(&word)) {
            (_, Some(known)) if known == self => word,
            (Self::Truncated, _) => "length".to_owned(),
            (Self::Filtered, _) => "content_filter".to_owned(),
            _ => "other".to_owned(),
        }
    }
}

/// Returns whether an answer breaks off where its tokens are used up, whatever the provider says. Some servers call that an
/// ordinary end (vllm-project/vllm#24184).
pub(crate) fn is_cut(text: &str, usage: Option<Usage>, asked: Asked) -> bool {
    let is_used_up = match (usage, asked.max_output_tokens) {
        (Some(usage), Some(limit)) => usage.output_tokens >= u64::from(limit),
        _ => false,
    };
    is_used_up && asked.json && serde_json::from_str::<IgnoredAny>(text).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(finish_reason: &str, refused: bool) -> ReceivedEnd<'_> {
        ReceivedEnd { finish_reason, refused, text: "", output_tokens: None, reasoning_tokens: None }
    }

    #[test]
    fn a_cut_answer_says_what_used_up_its_tokens() {
        let message = |answer: ReceivedEnd<'_>| usable(&answer).unwrap_err().message;
        let spaces = format!("{{\"a\":{}", " ".repeat(1000));
        assert!(message(ReceivedEnd { text: &spaces, ..end("length", false) }).contains("white space without end"));
        let reasoned = |reasoning_tokens, output_tokens| {
            message(ReceivedEnd { reasoning_tokens, output_tokens, ..end("length", false) })
        };
        assert!(reasoned(Some(950), Some(1000)).contains("950 of 1000 tokens went into reasoning"));
        for (reasoning, output) in [(Some(500), Some(1000)), (None, Some(1000)), (Some(0), Some(0)), (Some(9), None)] {
            assert_eq!(reasoned(reasoning, output), "use the answer: cut at the token limit");
        }
    }

    fn code(finish_reason: &str, refused: bool) -> Option<Code> {
        usable(&end(finish_reason, refused)).err().map(|error| error.code)
    }

    #[test]
    fn an_ordinary_end_is_usable_in_every_dialect() {
        for reason in ["stop", "", "eos", "STOP", "end_turn", "tool_calls", "something_new"] {
            assert_eq!(code(reason, false), None, "{reason}");
        }
    }

    fn shown(word: &str) -> String {
        FinishReason::of(word, Ending::PLAIN).shown(word)
    }

    #[test]
    fn an_end_is_shown_by_a_known_word() {
        for (word, expected) in
            [("stop", "stop"), ("END_TURN", "end_turn"), ("SAFETY", "safety"), ("length", "length"), ("", "")]
        {
            assert_eq!(shown(word), expected);
        }
        for word in ["hunter2", "stopped by Bob", "stop2", "other", " "] {
            assert_eq!(shown(word), "other", "{word}");
        }
    }

    #[test]
    fn a_word_stands_for_one_end() {
        let words: Vec<_> = ENDS.iter().flat_map(|(_, words)| *words).collect();
        let distinct: std::collections::HashSet<_> = words.iter().collect();
        assert_eq!(distinct.len(), words.len());
    }

    #[test]
    fn an_unexplained_end_is_a_filter_only_without_a_text() {
        let of = |word: &str, has_text| FinishReason::of(word, Ending { has_text, is_cut: false });
        assert_eq!(of("OTHER", false), FinishReason::Filtered);
        assert_eq!(of("OTHER", false).shown("OTHER"), "content_filter");
        assert_eq!(of("OTHER", true), FinishReason::Whole);
        assert_eq!(of("stop", false), FinishReason::Whole);
        assert_eq!(of("something_new", false), FinishReason::Whole);
    }

    #[test]
    fn a_document_that_breaks_off_where_its_tokens_are_used_up_is_cut() {
        let cut = |text: &str, output_tokens, max_output_tokens, json| {
            is_cut(text, Some(Usage { output_tokens, ..Usage::default() }), Asked { json, max_output_tokens })
        };
        assert!(cut(r#"{"a":"#, 1000, Some(1000), true));
        assert!(cut("", 1001, Some(1000), true), "all went into reasoning");
        assert!(!cut(r#"{"a":1}"#, 1000, Some(1000), true), "a whole document");
        assert!(!cut(r#"{"a":"#, 999, Some(1000), true));
        assert!(!cut(r#"{"a":"#, 1000, None, true));
        assert!(!cut("They talk", 1000, Some(1000), false), "prose may end anywhere");
        assert!(!is_cut(r#"{"a":"#, None, Asked { json: true, max_output_tokens: Some(1) }));
        let end = Ending { has_text: true, is_cut: true };
        assert_eq!(FinishReason::of("stop", end).shown("stop"), "length");
        assert_eq!(FinishReason::of("content_filter", end), FinishReason::Filtered);
    }

    #[test]
    fn the_finish_reason_goes_before_a_refusal() {
        assert_eq!(code("length", true), Some(Code::LlmOutputTruncated));
        assert_eq!(code("MAX_TOKENS", false), Some(Code::LlmOutputTruncated));
        assert_eq!(code("content_filter", true), Some(Code::LlmContentFiltered));
        for word in ["SAFETY", "content_filtered", "IMAGE_SAFETY", "ERROR_TOXIC"] {
            assert_eq!(code(word, false), Some(Code::LlmContentFiltered), "{word}");
        }
        assert_eq!(code("refusal", false), Some(Code::LlmRefused));
        assert_eq!(code("stop", true), Some(Code::LlmRefused));
    }

    #[test]
    fn an_unusable_answer_is_never_retried() {
        use assay_core::code::Class;
        for reason in ["length", "content_filter", "refusal"] {
            let error = usable(&end(reason, false)).unwrap_err();
            assert_eq!(error.class(), Class::Fail, "a retry would find the same journal: {reason}");
        }
    }
}
