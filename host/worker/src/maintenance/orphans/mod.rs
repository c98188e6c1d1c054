//! The sweep: finds objects of Assay's own shape that no row points at and, with `delete`, deletes them.
//!
//! A sweep must never delete an object that something needs:
//!
//! - It reads the bucket's marker first, and sweeps only the bucket of this database.
//! - It takes only keys that are exactly as Assay makes them, that are old, and whose file has no live job.
//! - It counts first, and deletes nothing when orphans are too large a part of the bucket.
//! - It asks the database again right before each deletion.
//!
//! It never holds more keys than one page of the listing.

pub mod classify;
pub mod error;
pub mod listing_walk;
pub mod marker;
pub mod object_counts;
pub mod schedule;
pub mod sweep;

pub use error::SweepError;
pub use object_counts::ObjectCounts;
pub use schedule::{SweepConfig, SweepMode, SweepSchedule};
pub use sweep::{MAX_ORPHAN_PERCENT, MIN_AGE, Sweep, SweepObserver, SweepOptions, SweepProgress, SweepSummary};
