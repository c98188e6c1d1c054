//! The model: OpenAI-compatible Chat Completions over HTTP. The only user of `reqwest`.
//!
//! [`Model::complete`] asks one question under three deadlines and never retries. It leaves out what the provider rejects
//! (`fallback`), reads answers leniently (`envelope`) and classifies errors by status and code (`classify`). Errors and
//! logs hold no text of a prompt or an answer.

#![forbid(unsafe_code)]

mod adapted;
mod chat_request;
mod classify;
mod completion;
mod envelope;
mod fallback;
mod finish_reason;
mod http_client;
mod llm_config;
mod llm_error;
mod model;
mod model_memory;
mod plain_word;
mod provider_error;
mod reply;
mod request_body;
mod response_body;
mod retry_after;
mod schema_for_model;

#[cfg(test)]
mod tests;

pub use adapted::Adapted;
pub use chat_request::{ChatMessage, ChatRequest};
pub use classify::classify;
pub use completion::{Completion, Usage};
pub use finish_reason::usable;
pub use llm_config::LlmConfig;
pub use llm_error::LlmError;
pub use model::{Model, Probe};
