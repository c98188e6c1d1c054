//! One job, top to bottom.
//!
//! [`run`] reads the transcript, lets the guest decide what to ask, asks, and lets the guest make a report of the answers; a second
//! check stands between the guest and the bucket. Nothing here writes job state: a run ends in a [`RunResult`], and
//! [`crate::worker::finalize`] settles the claim. No SQL, S3, HTTP or wasm type appears in this flow.

mod ask;
mod bucket_calls;
mod chat_request;
mod config;
mod flow;
mod guest_notes;
mod journal;
mod run;
mod transcript;

pub use chat_request::chat_request;
pub use config::PipelineConfig;
pub use flow::run;
pub use journal::{StoredAnswer, StoredUsage, read_answer};
pub use run::{Kept, ResultExt, Run, RunError, RunResult, Stored};
pub use transcript::transcript;
