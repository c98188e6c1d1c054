//! The model: OpenAI-compatible Chat Completions over HTTP. The only user of `reqwest`.
//!
//! [`Model::complete`] asks one question under three deadlines and never retries. It leaves out what the provider rejects
//! (`fallback`), reads answers leniently (`chat`) and classifies errors by their meaning (`classify`). Errors and
//! logs hold no text of a prompt or an answer.

#![forbid(unsafe_code)]

mod adapted;
mod answer;
mod auth;
mod chat;
mod chat_request;
mod classify;
mod client_pool;
mod completion;
mod event_stream;
mod fallback;
mod finish_reason;
mod http_client;
mod input_window;
mod lenient_json;
mod llm_config;
mod llm_error;
mod members;
mod model;
mod model_list;
mod model_memory;
mod plain_word;
mod provider_error;
mod reply;
mod request_body;
mod response_body;
mod retry_after;
mod schema_for_model;
// One source for guests and host: the SDK is copied whole into a new guest's folder, so the module stays there.
#[path = "../../../guest/sdk/src/strict/mod.rs"]
pub mod strict;
mod unquoted;
mod unreadable;
mod usage;

#[cfg(test)]
mod tests;

pub use adapted::{Adapted, SchemaForm};
pub use auth::Auth;
pub use chat_request::{ChatMessage, ChatRequest};
pub use classify::classify_status;
pub use completion::{Completion, Usage};
pub use finish_reason::{ReceivedEnd, usable};
pub use llm_config::LlmConfig;
pub use llm_error::LlmError;
pub use model::{Model, Probe};
pub use unreadable::UnreadableAnswer;
