//! One question as the caller hands it over: borrowed, because thousands of them may wait for their answers.

use std::fmt;

use serde::Serialize;

/// One question for the model.
#[derive(Clone)]
pub struct ChatRequest<'a> {
    /// The chat, oldest message first. Content.
    pub messages: Vec<ChatMessage<'a>>,
    /// JSON Schema that the provider is asked to hold its answer to; none for free text.
    pub answer_schema: Option<&'a str>,
    /// A model by the operator's alias; none is the default.
    pub model: Option<&'a str>,
    /// Upper bound for the answer, in tokens; none leaves it to the configuration.
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2; none leaves it to the provider.
    pub temperature: Option<f32>,
}

/// One chat message.
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
