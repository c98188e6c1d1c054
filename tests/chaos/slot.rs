//! The place of a worker.

/// The number of a worker, from 1.
pub type Slot = usize;
