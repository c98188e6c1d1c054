//! One job, top to bottom.
//!
//! [`flow`] reads the transcript, lets the guest decide what to ask, asks, and lets the guest make a report of the answers. A second
//! check stands between the guest and the bucket. Nothing here writes job state: a run ends in a [`RunResult`](run::RunResult), and
//! [`crate::worker::finalize`] settles the claim. No SQL, S3, HTTP or wasm type appears in this flow.

pub mod ask;
pub mod bucket_calls;
pub mod chat_request;
pub mod config;
pub mod flow;
pub mod guest_notes;
pub mod journal;
pub mod run;
pub mod stored_answer;
pub mod transcript;

pub use chat_request::chat_request;
pub use config::PipelineConfig;
