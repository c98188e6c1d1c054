//! Plain data and pure rules of Assay: no I/O, no async, no clock.

#![forbid(unsafe_code)]

pub mod breaker;
pub mod channel;
pub mod code;
pub mod digest;
pub mod env;
pub mod job;
pub mod job_error;
pub mod loopback;
pub mod manifest;
pub mod object_keys;
pub mod release_stats;
pub mod report_diff;
pub mod retry;
