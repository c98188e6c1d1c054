//! The services that Assay needs, embedded for `assay dev`, the demo, the bench and the tests.
//!
//! - [`Postgres`]: a private cluster run from local binaries; it dies with this process.
//! - [`ObjectStore`]: an S3 server in this process, files in a folder behind the real protocol.
//! - [`StandIn`]: an HTTP server with the wire format of OpenAI's Chat Completions. It is not a model: it builds its answer from the
//!   transcript and the JSON Schema of the question.
//!
//! All three listen on 127.0.0.1 only. Do not deploy them.

#![cfg(unix)]

mod model;
mod objects;
mod postgres;
pub mod scripted_server;
mod serve;

pub use model::{MODEL, Schema, StandIn, StandInOptions};
pub use objects::{Bucket, Keys, MAX_BUCKET_NAME, ObjectStore};
pub use postgres::{Postgres, PostgresOptions};
