//! The end of a job: what its result means, written exactly once.
//!
//! [`finalize`] decides the settlement, writes it under the claim's token, and undoes what a refused success leaves behind.

mod decide;
mod raw_output;
mod settle;
mod write;

pub use settle::finalize;
