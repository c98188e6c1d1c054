//! The schema: embedded pairs of SQL files, and where a database stands among them.
//!
//! A database whose `files` and `processing_jobs` another program made is adopted: some of its scripts differ
//! (docs/adr/0016-adoption.md), and the rest are the same.

mod adoption;
mod names;
mod plan;
mod run;
mod shape;
mod state;

pub use plan::{Origin, Script, Target, plan};
pub use state::MigrationState;
