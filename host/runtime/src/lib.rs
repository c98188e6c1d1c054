//! Loads, limits, runs, specializes and caches guests; the only user of wasmtime.
//!
//! A guest is a WASM component for the world `report-guest` of `wit/report.wit`: untrusted bytes that compute a pure function. [`Runtime::load`] admits one: size, a full parse, its
//! world, a compile in a child process, a cached image, its own `describe`. [`Guest::advance`] and [`Guest::check`] then run it, each call in a sandbox of its own that is made for
//! the call and dropped with it, on threads that belong to guests alone. [`Runtime::verifier`] makes the host's own second check out of the generic guest and a schema.
//!
//! Nothing that a guest writes is in an error, a log line or a panic of this crate: faults are codes. What guests return is data for the caller, who must treat it as hostile.

mod admission;
mod bindings;
mod call;
pub mod compiler;
pub mod contract;

mod engine;
mod fault;
mod guest;
mod limits;
mod load_error;
mod log_capture;
mod options;
mod output;
mod pool;
mod runtime;
mod sandbox;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod ticker;
#[cfg(feature = "wasi")]
mod wasi;

pub use assay_core::digest::{BadDigest, Digest};
pub use assay_guest_build::cache::CacheError;

pub use call::{Call, Level, LogLine};
pub use contract::{Answer, Finding, Manifest, Message, Prompt, Rejection, Report, Step, Transcript};
pub use fault::Fault;
pub use guest::{Guest, Verifier};
pub use limits::Limits;
pub use load_error::LoadError;
pub use options::{Allocation, Compiler, Metering, Options, Wasi};
pub use runtime::{Runtime, RuntimeError};
