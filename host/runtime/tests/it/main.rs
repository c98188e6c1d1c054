//! The runtime against guests that misbehave, one binary so that the engine is linked once.

mod admission;
mod cache;
mod calls;
mod compiling;
mod limits;
mod support;
mod verifying;
#[cfg(feature = "wasi")]
mod wasi;
