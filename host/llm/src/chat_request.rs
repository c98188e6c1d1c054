//! A question for the model. It borrows its texts, because thousands of questions may wait for answers.

use std::fmt;

use serde::Serialize;

/// A question for the model.
#[derive(Clone)]
pub struct ChatRequest<'a> {
    /// The chat, oldest message first. Content.
    pub messages: Vec<ChatMessage<'a>>,
    /// JSON Schema for the answer; `None` asks for free text.
    pub answer_schema: Option<&'a str>,
    /// A name of `LLM_MODELS`; `None` is the default model.
    pub model: Option<&'a str>,
    /// Longest answer, in tokens; `None` uses `LLM_MAX_OUTPUT_TOKENS`.
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2; `None` uses the default of the provider.
    pub temperature: Option<f32>,
}

/// A chat message.
#[derive(Clone, Copy, Serialize)]
pub struct ChatMessage<'a> {
    /// "system", "user" or "assistant".
    pub role: &'a str,
    /// Content: never logged.
    pub content: &'a str,
}

/// Shows sizes instead of texts.
impl fmt::Debug for ChatRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatRequest")
            .field("messages", &self.messages.len())
            .field("answer_schema", &self.answer_schema.map(str::len))
            .field("max_output_tokens", &self.max_output_tokens)
            .field("temperature", &self.temperature)
            .finish_non_exhaustive()
    }
}
