//! The sweep: objects of Assay's own shape that no row points at are found and, where that is wanted, deleted.
//!
//! What must not happen is that an object goes which somebody needs. So a sweep asks the bucket's marker whose bucket it is; it
//! takes only keys that are exactly as Assay makes them, that are old, and whose file has no live job; it counts before it
//! deletes, and deletes nothing where it would be too much of the bucket; and it asks the database once more right before each
//! deletion. It never holds more keys than a page of the listing.

mod classify;
pub mod daily;
mod error;
mod key_shape;
pub mod marker;
mod sweep;
mod walk;

pub use classify::Tally;
pub use daily::{Daily, SweepConfig, SweepMode};
pub use error::SweepError;
pub use key_shape::Shape;
pub use sweep::*;
