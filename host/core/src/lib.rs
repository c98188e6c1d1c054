//! Plain data and pure rules of Assay: no I/O, no async, no clock.

#![forbid(unsafe_code)]

pub mod breaker;
pub mod channel;
pub mod comparison;
pub mod digest;
pub mod error;
pub mod figures;
pub mod job;
pub mod manifest;
pub mod retry;
pub mod this_machine;
pub mod variables;
