//! The queue: the only code that changes a job's state.
//!
//! Every write of a claim names job id, lease token and status; if it touches no row, the claim is lost. Every other
//! write names the status that it expects. Locks are taken job first, file second; several jobs in the order of their
//! ids.

mod cancel;
mod claim;
mod claim_batch;
mod claim_behind;
mod claim_singly;
mod fail;
mod finalize;
mod reap;
mod renew;
mod requeue;

pub use cancel::{CancelOutcome, Cancelled};
pub(crate) use claim_batch::received_at;
pub use claim_batch::{ClaimBatch, RefusedJob, UnreadableJob};
pub use finalize::{Presence, Settled};
pub use reap::{ReapBatch, Reaped, RefusedRow, Rescue};
pub use renew::{Announcement, Heartbeat, Renewal};
pub use requeue::{RequeuePace, RequeuedFile, RequeuedJob};
