//! Plain data and pure rules of Assay: no async, no clock, and no I/O but the files of secrets.

#![forbid(unsafe_code)]

pub mod attempt_usage;
pub mod breaker;
pub mod channel;
pub mod claim;
pub mod code;
pub mod digest;
pub mod env;
pub mod file_info;
pub mod finding_code;
pub mod ids;
pub mod job_error;
pub mod journal_entry;
pub mod lease;
pub mod loopback;
pub mod manifest;
pub mod object_keys;
pub mod open_files;
pub mod release_stats;
pub mod report_diff;
pub mod retry;
pub mod secret;
pub mod serving;
pub mod settlement;
pub mod stop_reason;
