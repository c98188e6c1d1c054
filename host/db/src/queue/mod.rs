//! The queue: the one writer of a job's state. Every write of a claim names (id, lease token, status); zero rows touched means
//! that the claim is lost. Every other write names the status that it expects. Locks are always taken job first, file second, several jobs in the order of their ids.

mod beat;
mod cancel;
mod claim;
mod reap;
mod retry;
mod settle;

pub use beat::{Heartbeat, Told};
pub use cancel::{Cancel, Cancelled};
pub use reap::{BATCH, Reaped, Rescue};
pub use retry::Retried;
pub use settle::{Presence, Settled};
