//! Converts a guest's question for the model's adapter.

use assay_llm::{ChatMessage, ChatRequest};
use assay_runtime::Prompt;

/// Borrows a question of a guest for a call of the model.
pub fn chat_request(prompt: &Prompt) -> ChatRequest<'_> {
    let messages = prompt.messages.iter();
    ChatRequest {
        messages: messages.map(|message| ChatMessage { role: &message.role, content: &message.content }).collect(),
        answer_schema: prompt.answer_schema.as_deref(),
        model: prompt.model.as_deref(),
        max_output_tokens: prompt.max_output_tokens,
        temperature: prompt.temperature,
    }
}
