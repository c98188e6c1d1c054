//! The invariants of the sources.
