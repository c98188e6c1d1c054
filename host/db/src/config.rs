//! The database's address and limits.

use std::{str::FromStr, time::Duration};

use anyhow::Context;
use assay_core::env::Variables;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

/// Where the database is, and how long a statement may take.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Connections in the pool. The heartbeat and the listener have their own.
    pub pool: u32,
    /// For one statement, and for getting a connection.
    pub timeout: Duration,
    /// Parsed `DATABASE_URL`; sqlx redacts the password in `Debug`.
    pub(crate) options: PgConnectOptions,
}

impl DatabaseConfig {
    /// Declares and reads the variables of the database.
    pub fn load(vars: &mut Variables) -> Self {
        let url = vars.required_secret("DATABASE_URL", "the Postgres database of files and jobs, postgres://…");
        let pool = vars.number("DATABASE_POOL", 8, 1..=1000, "connections in the worker's pool");
        let timeout = vars.millis("DATABASE_TIMEOUT_MS", Duration::from_secs(10), "patience with one statement, ms");
        let options = match parse(&url) {
            Some(options) => options,
            // `required_secret` has reported it.
            None if url.expose_secret().is_empty() => PgConnectOptions::new_without_pgpass(),
            None => {
                vars.fault("DATABASE_URL", "expected a URL such as postgres://user:password@host:port/database");
                PgConnectOptions::new_without_pgpass()
            }
        };
        Self { pool, timeout, options: session(options, timeout) }
    }

    /// Returns the configuration for a URL, with every default.
    ///
    /// # Errors
    /// If the URL is not a Postgres URL.
    pub fn from_url(url: &SecretString) -> anyhow::Result<Self> {
        let timeout = Duration::from_secs(10);
        let options = parse(url).context("not a Postgres URL")?;
        Ok(Self { pool: 8, timeout, options: session(options, timeout) })
    }
}

/// Parses a URL and checks its scheme, because sqlx accepts any scheme and would only fail to connect.
fn parse(url: &SecretString) -> Option<PgConnectOptions> {
    let (scheme, _) = url.expose_secret().split_once("://")?;
    let known = ["postgres", "postgresql"].contains(&scheme);
    known.then(|| PgConnectOptions::from_str(url.expose_secret()).ok())?
}

/// Sets limits that the server enforces, even if this process stalls during a statement.
fn session(options: PgConnectOptions, timeout: Duration) -> PgConnectOptions {
    // Shorter than the client's own deadline: a statement that the server rolled back is certain, and leaves no locks.
    let server = format!("{}ms", (timeout.as_millis() * 3 / 4).max(1));
    options
        .application_name("assay")
        .options([("statement_timeout", server.as_str()), ("idle_in_transaction_session_timeout", server.as_str())])
        // sqlx would log whole statements. The callers log what matters, with the job's id.
        .disable_statement_logging()
}
