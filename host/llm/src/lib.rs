//! The model: OpenAI-compatible Chat Completions over HTTP. The only user of `reqwest`.
//!
//! [`Model::complete`] asks one question under three deadlines and never retries. What the provider does not take is left
//! out and remembered (`adapt`), what it answers is read leniently (`wire`), what it refuses is classified by status and
//! code (`classify`). No text of a prompt or an answer gets into an error or a log.

#![forbid(unsafe_code)]

mod adapt;
mod body;
mod classify;
mod client;
mod completion;
mod config;
mod connection;
mod error;
mod exchange;
mod request;
mod retry_after;
mod wire;

#[cfg(test)]
mod tests;

pub use adapt::Adapted;
pub use classify::classify;
pub use client::{Model, Probe};
pub use completion::{Completion, Usage, usable};
pub use config::LlmConfig;
pub use error::LlmError;
pub use request::{ChatMessage, ChatRequest};
