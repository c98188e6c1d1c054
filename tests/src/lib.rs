//! Support for the end-to-end tests: real servers, and ways to break them.
//!
//! - [`World`]: a database, a bucket and a model, and the environment for a worker that uses them. Start here.
//! - [`TestDatabase`]: a migrated database of its own per test, on a cluster that the test process shares.
//! - [`TestObjects`]: an S3 server whose requests fail as scripted.
//! - [`ScriptedModel`]: a model that answers as scripted and counts its calls.
//! - [`RoleServer`]: services of AWS that give keys of a role.
//! - [`Authority`]: a certificate, and a listener that takes connections of TLS with it.
//! - [`Proxy`]: a TCP connection that can be cut, stalled, or held at one statement.
//! - [`claim_reads`]: what the statements of a claim read.
//! - [`old`]: another program that had the queue before, and still works on it.
//! - [`AssayProcess`]: the real binary; [`worker`]: the same as a worker that claims.
//! - [`Gate`]: the signal that tests wait for instead of sleeping.
//!
//! No wait in here is endless: each has [`DEADLINE`] and then fails the test, saying what it waited for.

mod authority;
mod aws;
pub mod claim_reads;
mod front;
mod gate;
mod model;
mod objects;
pub mod old;
mod postgres;
mod process;
mod proxy;
mod worker;
mod world;

use std::time::Duration;

pub use authority::{Authority, HOST, Peer, TlsListener};
pub use aws::RoleServer;
pub use gate::Gate;
pub use model::{Call, Oddity, Reply, ScriptedModel};
pub use objects::{Asked, Fault, Operation, TestObjects};
pub use postgres::TestDatabase;
pub use process::{AssayProcess, Signal, binary};
pub use proxy::{Delay, Direction, Fate, Hold, Proxy};
pub use worker::{
    Env, TRANSCRIPT, admin, compile, compile_folder, die, env_with_guests, examples, folder_of, with, worker,
};
pub use world::{Attempt, FileRow, JobRow, World, compiled, guests};

/// The longest that a test waits for anything: far more than a slow machine needs, far less than a runner's patience.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for `future`, at most [`DEADLINE`].
///
/// # Panics
/// At the deadline, with `what` was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {DEADLINE:?}"),
    }
}
