//! End-to-end tests: the real binary on a real Postgres, a real S3 server and a real HTTP model endpoint.
//!
//! One module per promise. Tests wait for signals and rows, never for time; where a time is what is promised, they read
//! it from the row, as the database's clock wrote it.

mod fixtures;

mod admin;
mod adopt;
mod authoring;
mod bad_rows;
mod beats;
mod breakers;
mod cache;
mod canaries;
mod cancels;
mod claims;
mod classes;
mod configuration;
mod connections;
mod credentials;
mod database_failures;
mod examples;
mod guests;
mod hostile_paths;
mod invariants;
mod jobs;
mod journal;
mod leases;
mod locks;
mod migrations;
mod model_failures;
mod open_files;
mod pauses;
mod permissions;
mod privacy;
mod producers;
mod readme;
mod rejections;
mod releases;
mod replay;
mod reports;
mod rerun;
mod retention;
mod retries;
mod row_security;
mod secrets;
mod sessions;
mod shadows;
mod shared_queue;
mod signals;
mod state_machine;
mod submitting;
mod sweep;
mod transcripts;
mod wasi;
