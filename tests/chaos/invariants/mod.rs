//! What must hold when it is quiet again. Each invariant is a pure function from the evidence to its violations.

pub mod alike;
pub mod all;
pub mod claims;
pub mod documents;
pub mod ends;
pub mod explained;
pub mod fence;
pub mod handover;
pub mod heals;
pub mod kinds;
pub mod met;
pub mod owners;
pub mod poisoned;
pub mod purchases;
pub mod rescue;
#[cfg(test)]
pub mod rows;
pub mod silence;
pub mod verdict;
