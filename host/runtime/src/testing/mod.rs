//! Small guests written in WAT: the smallest one that keeps the contract, and many that break it.
//!
//! A hostile guest in WAT is only its misdeed, and takes a millisecond to build. [`WatGuest`] fills in the rest of the world,
//! [`hostile`] has the misdeeds, and [`guest_from_wat`] accepts any core module.

mod assemble;
mod data;
pub mod hostile;
pub mod kept;
pub mod wasi;
mod wat_guest;

pub use assemble::{core_from_wat, guest_from_wat};
pub use data::{Data, Span};
pub use wat_guest::WatGuest;
