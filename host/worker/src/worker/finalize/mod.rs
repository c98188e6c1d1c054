//! The end of a job: decides its settlement and writes it exactly once.
//!
//! [`settle`] decides, writes under the claim's token, and deletes the report of a run that was not settled as a success.

pub mod decide;
pub mod judge;
pub mod raw_output;
pub mod settle;
pub mod unreadable;
pub mod write;
