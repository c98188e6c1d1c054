//! The queue: the only code that changes a job's state.
//!
//! Every write of a claim names job id, lease token and status; if it touches no row, the claim is lost. Every other
//! write names the status that it expects. Locks are taken job first, file second; several jobs in the order of their
//! ids.

mod cancel;
mod claim;
mod fail;
mod finalize;
mod reap;
mod renew;
mod requeue;

pub use cancel::{CancelOutcome, Cancelled};
pub use finalize::{Presence, Settled};
pub use reap::{BATCH, Reaped, Rescue};
pub use renew::{Announcement, Heartbeat};
pub use requeue::{RequeuePace, RequeuedFile, RequeuedJob};
