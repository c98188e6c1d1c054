//! The object store: reads transcripts, writes answers and reports. The only user of the AWS SDK.
//!
//! One deadline covers each operation with its retries and its body. The SDK retries a request until the headers of the
//! response arrive. This crate notices a body that breaks off or stalls after that, and reads the object again.

#![forbid(unsafe_code)]

mod classify;
mod content_encoding;
mod credentials;
mod current_client;
mod listing;
mod objects;
mod objects_config;
mod objects_error;
mod probes;
mod role_chain;
mod sdk_client;
mod sdk_error;
#[cfg(test)]
mod tests;

pub use classify::classify;
pub use credentials::{CHAIN_VARIABLES, S3Credentials, S3Keys};
pub use listing::{ListedObject, ListingPage, MAX_PAGE_OBJECTS};
pub use objects::Objects;
pub use objects_config::{ObjectsConfig, WriteOptions};
pub use objects_error::{ObjectsError, ObjectsErrorKind, RoleFault};
pub use probes::MayList;
