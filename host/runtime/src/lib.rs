//! Loads, limits, runs, specializes and caches guests; the only user of wasmtime at run time.
//!
//! A guest is a WebAssembly component for the world `report-guest` of `wit/report.wit`: untrusted bytes that compute a pure function.
//! [`Runtime::load`] admits a guest: size, a full parse, its world, a compile in a child process, a cached image, its `describe`.
//! [`Guest::advance`] and [`Guest::check`] run it on threads for guests alone. Each call gets its own sandbox, which is dropped after
//! the call. [`Runtime::verifier`] makes the host's second check from the generic guest and a schema.
//!
//! No error, log line or panic of this crate has a word of a guest: faults are codes. Treat every returned value as hostile.

#![warn(missing_docs)]

mod admission;
mod bindings;
mod call;
mod call_state;
pub mod compiler;
mod contract;
mod cpu;
mod engine;
mod fault;
mod guest;
mod images;
mod limits;
mod load_error;
mod loads;
mod log_capture;
mod meter;
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

pub use call::{Call, LogLevel, LogLine};
pub use contract::{Answer, Finding, Manifest, Message, Prompt, Rejection, Report, Step, Transcript};
pub use cpu::Cpu;
pub use fault::Fault;
pub use guest::{Guest, Verifier};
pub use limits::Limits;
pub use load_error::{LoadError, LoadErrorRow};
pub use options::{Allocation, Compiler, Metering, Options, Wasi};
pub use runtime::{Runtime, RuntimeError};
