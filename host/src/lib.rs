//! Assay turns transcripts into reports that can be trusted.
//!
//! Read [`pipeline`] first: a job's life, top to bottom. The layers are drawn in `docs/architecture.md`.

// L4: parses, builds and shows.
pub mod admin;
pub mod cli;
pub mod config;
pub mod telemetry;

// L3: slots, time, settlement.
pub mod heartbeat;
pub mod held;
pub mod reaper;
pub mod settlement;
pub mod shutdown;
pub mod worker;

// L2: flows over several outside worlds.
pub mod breakers;
pub mod canaries;
pub mod pipeline;
pub mod rehearsal;
pub mod releases;
pub mod replay;
pub mod retention;
pub mod shadow;
pub mod submission;
pub mod sweep;

// L1: one outside world each.
pub mod db;
pub mod guests;
pub mod llm;
pub mod objects;

// L0: plain data and pure functions.
pub mod breaker;
pub mod channel;
pub mod comparison;
pub mod error;
pub mod figures;
pub mod job;
pub mod metrics;
pub mod retry;
pub mod this_machine;
pub mod variables;
