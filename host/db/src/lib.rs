//! Postgres: the queue, the journal, files and releases. The only crate that uses sqlx.
//!
//! There is no trait over the database: the SQL is the logic, and tests run it on a real server. Long statements are in
//! `sql/`, each named after the function that sends it. No connection is held while the caller waits for anything else.
//! Every statement has a deadline in the client besides the server's own.

pub mod answers;
mod clock;
mod config;
mod database;
mod database_url;
mod error;
pub mod failed;
pub mod files;
pub mod history;
pub mod jobs;
pub mod journal;
mod lenient;
mod listener;
mod login;
pub mod migrate;
mod parts;
pub mod pauses;
mod pooling;
pub mod queue;
pub mod releases;
pub mod replay;
mod row_security;
mod rows;
mod sqlstate;
mod stored_time;
pub mod succeeded;
pub mod sweep;
pub mod workers;

pub use config::{DatabaseConfig, Encryption};
pub use database::Database;
pub use database_url::UrlFault;
pub use error::{ConnectionCause, DbError};
pub use lenient::UnreadableColumn;
pub use listener::Listener;
pub use login::LoginError;
pub use parts::{Parts, Refused};
pub use pooling::Pooling;
pub use stored_time::StoredTime;
