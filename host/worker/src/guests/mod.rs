//! The guests of this worker: loaded from `GUEST_DIR`, one file per release, each with the verifier of its schema.
//!
//! `assay_runtime` knows wasmtime. This module knows which guest serves which job, and what a guest's fault means for a job.

pub mod channels;
pub mod config;
pub mod findings;
pub mod loaded_guests;
pub mod registry;
pub mod release;
pub mod sandbox;
pub mod shared_texts;

pub use config::{GuestsConfig, GuestsLimits};
pub use loaded_guests::Guests;
pub use registry::{LoadedRelease, UnloadedFile};
pub use release::Release;
pub use sandbox::{GENERIC, precompiler, sandbox, schema_of_cached};
