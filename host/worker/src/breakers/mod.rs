//! The breakers of a worker.

mod breaker_set;
#[cfg(test)]
mod tests;

pub use breaker_set::{Breakers, Claimable, Probe, ProbeOffer};
