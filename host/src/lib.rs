//! Assay turns transcripts into reports that can be trusted.
//!
//! Read [`pipeline`] first: a job's life, top to bottom. The layers are drawn in `docs/architecture.md`.

pub mod error;
pub mod job;
pub mod retry;
pub mod variables;

pub mod llm;
pub mod objects;
