//! The model: OpenAI-compatible Chat Completions over HTTP.
//!
//! [`Model::complete`] asks one question under three deadlines and never retries. What the provider does not take is left
//! out and remembered (`adapt`), what it answers is read leniently (`wire`), what it refuses is classified by status and
//! code (`classify`). No text of a prompt or an answer gets into an error or a log.

mod adapt;
mod body;
mod classify;
mod client;
mod completion;
mod config;
mod connection;
mod error;
mod exchange;
mod retry_after;
mod wire;

#[cfg(test)]
mod tests;

pub use self::{
    adapt::Adapted,
    classify::classify,
    client::{Model, Probe},
    completion::{Completion, Usage, usable},
    config::LlmConfig,
    error::LlmError,
};
