//! Slots and time: claims jobs, runs each in a slot, finalizes it, renews leases, and stops in an orderly way.
//!
//! Start with [`slot`]: one job, from claim to settlement.

pub mod active_claims;
pub mod claim_cursor;
pub mod claim_loop;
pub mod config;
pub mod finalize;
pub mod heartbeat;
pub mod shutdown;
pub mod slot;
pub mod start;
pub mod state;

pub use config::WorkerConfig;
pub use start::{FINAL_WRITES_TIMEOUT, Worker};
pub use state::WorkerState;
