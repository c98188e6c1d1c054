//! One conversation of a guest with a model: it asks, gets answers, asks again, and accepts or rejects.
//!
//! A worker, a dry run, `assay guest try` and a guest's fixtures share the loop and the limits. They differ in the source of the
//! answers ([`Answers`]).

#![forbid(unsafe_code)]

mod limits;
mod question;
mod rejection;
mod report;
mod run;
mod strict_json;

pub use limits::{JobLimits, LimitBreach};
pub use question::question_sha256;
pub use rejection::RejectionReasons;
pub use report::{ReportFault, nesting};
pub use run::{Answers, ConversationEnd, ConversationError, run};
