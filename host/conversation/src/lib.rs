//! One conversation of a guest with a model: it asks, gets answers, asks again, and accepts or rejects.
//!
//! A worker, a dry run, `assay guest try` and the fixtures of a guest run the same loop under the same limits; only the source of
//! the answers differs ([`Answers`]).

#![forbid(unsafe_code)]

mod limits;
mod question;
mod rejection;
mod report;
mod run;

pub use limits::{JobLimits, LimitBreach};
pub use question::question_sha256;
pub use rejection::RejectionReasons;
pub use report::{ReportFault, nesting};
pub use run::{Answers, Ending, Stop, run};
