//! The worker of Assay: claims jobs, runs each top to bottom, finalizes it, and looks after the queue, the bucket and releases.
//!
//! Read [`pipeline`] first: one job, top to bottom. [`worker`] is around it: slots and time. docs/architecture.md has the map.

#![forbid(unsafe_code)]

pub mod admin;
mod bounded_http;
pub mod breakers;
pub mod config;
pub mod guests;
pub mod maintenance;
pub mod metrics;
pub mod pipeline;
pub mod releases;
pub mod replay;
pub mod services;
pub mod submit;
pub mod telemetry;
pub mod worker;
