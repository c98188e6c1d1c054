//! From a guest's core module to a component: pre-initialize, strip, componentize, check the imports.
//!
//! Pre-initialization runs the guest's `wizer-initialize` once and keeps the memory as it is then: schema parsed, patterns
//! compiled. A fresh instance per call is then cheap. *Injection* adds one step before: the generic guest's `reserve` makes room,
//! and prompt and schema are written there.
//!
//! The initializer is guest code. It runs under a time and a memory limit, and the log is its only import. Its log lines before a
//! trap are for the author ([`BuildError::said`]); no error message has them.
//!
//! The same input gives the same bytes: nothing here reads a clock, a path or an environment.

mod build_limits;
mod builder;
pub mod cache;
pub mod compatibility;
mod component;
mod error;
mod guest_folder;
mod initializer;
mod parts;
mod sections;
mod source_files;
mod stamp;

pub use build_limits::BuildLimits;
pub use builder::{Builder, Built, preinitialize, specialize};
pub use component::{componentize, imports, world};
pub use error::{BuildError, BuildReason, BuildStep, ReasonRow};
pub use guest_folder::{FolderError, GUEST_TOML, GuestFolder, is_name};
pub use parts::{Message, Parts, verifier_parts};
pub use sections::strip;
pub use source_files::{FileTooLarge, SourceFolder, read_file, read_stream, utf8};
pub use stamp::{SourceHash, Stamp, section, toolchain, with_section};
