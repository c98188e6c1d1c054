//! Slots and time: claims jobs, runs each in a slot, finalizes it, renews leases, and stops in an orderly way.

pub mod active_claims;
mod claim_cursor;
mod claim_loop;
mod config;
pub mod finalize;
pub mod heartbeat;
pub mod shutdown;
mod slot;
mod start;
mod state;

pub use config::WorkerConfig;
pub use start::{LAST_WRITES, Worker};
pub use state::WorkerState;
