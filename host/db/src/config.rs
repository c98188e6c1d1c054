//! The database's address and limits.

use std::{str::FromStr, time::Duration};

use anyhow::Context;
use assay_core::env::Variables;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use url::Url;

/// Bounds what a session gathers on the server, and how long one stays where a load balancer has moved away from.
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Where the database is, and how long a statement may take.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Connections in the pool. The heartbeat and the listener have their own.
    pub pool: u32,
    /// For one statement, and for getting a connection.
    pub timeout: Duration,
    /// After which a connection of the pool is replaced, used or not.
    pub max_lifetime: Duration,
    /// After which a connection of the pool that rests is closed.
    pub idle_timeout: Duration,
    /// Parsed `DATABASE_URL`; sqlx redacts the password in `Debug`.
    pub(crate) options: PgConnectOptions,
}

impl DatabaseConfig {
    /// Declares and reads the variables of the database.
    pub fn load(vars: &mut Variables) -> Self {
        let url = vars.required_secret("DATABASE_URL", "the Postgres database of files and jobs, postgres://…");
        let pool = vars.number("DATABASE_POOL", 8, 1..=1000, "connections in the worker's pool");
        let timeout = vars.millis("DATABASE_TIMEOUT_MS", Duration::from_secs(10), "patience with one statement, ms");
        let max_lifetime = vars.millis(
            "DATABASE_MAX_LIFETIME_MS",
            DEFAULT_MAX_LIFETIME,
            "after which a connection of the pool is replaced, ms",
        );
        let idle_timeout = vars.millis(
            "DATABASE_IDLE_TIMEOUT_MS",
            DEFAULT_IDLE_TIMEOUT,
            "after which a connection of the pool that rests is closed, ms",
        );
        let options = parse(&url).unwrap_or_else(|fault| {
            // `required_secret` has reported an empty one.
            if !url.expose_secret().is_empty() {
                vars.fault("DATABASE_URL", fault);
            }
            PgConnectOptions::new_without_pgpass()
        });
        Self { pool, timeout, max_lifetime, idle_timeout, options: session(options, timeout) }
    }

    /// Returns the configuration for a URL, with every default.
    ///
    /// # Errors
    /// If the URL is not a Postgres URL, or has an unknown parameter.
    pub fn from_url(url: &SecretString) -> anyhow::Result<Self> {
        let timeout = Duration::from_secs(10);
        let options = parse(url).context("read the URL of the database")?;
        Ok(Self {
            pool: 8,
            timeout,
            max_lifetime: DEFAULT_MAX_LIFETIME,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            options: session(options, timeout),
        })
    }
}

/// Why a URL is refused. It has no value of the URL: any of them may be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum UrlFault {
    #[error("expected a URL such as postgres://user:password@host:port/database")]
    NoPostgresUrl,
    #[error("unknown parameter `{0}`: remove it")]
    UnknownParameter(String),
    /// A password with a `?` that is not escaped looks like this.
    #[error("a parameter without a plain name: remove it, or write `%3F` for a `?` in the password")]
    UnnamedParameter,
}

/// The parameters that sqlx reads. It would log any other one with its value.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Parses a URL. Checks scheme and parameters first, because sqlx accepts any.
fn parse(url: &SecretString) -> Result<PgConnectOptions, UrlFault> {
    let text = url.expose_secret();
    let known = text.split_once("://").is_some_and(|(scheme, _)| ["postgres", "postgresql"].contains(&scheme));
    let parsed = Url::parse(text).ok().filter(|_| known).ok_or(UrlFault::NoPostgresUrl)?;
    check_parameters(&parsed)?;
    PgConnectOptions::from_str(text).map_err(|_| UrlFault::NoPostgresUrl)
}

fn check_parameters(url: &Url) -> Result<(), UrlFault> {
    let is_known = |name: &str| PARAMETERS.contains(&name) || is_setting(name);
    let Some((name, _)) = url.query_pairs().find(|(name, _)| !is_known(name)) else { return Ok(()) };
    // An `@` ends a password: what stands before it may be the password's second half.
    let may_be_password = url.query().is_some_and(|query| query.contains('@'));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if may_be_password || name.is_empty() || !name.chars().all(is_plain) {
        return Err(UrlFault::UnnamedParameter);
    }
    Err(UrlFault::UnknownParameter(name.into_owned()))
}

/// Returns whether a parameter sets a variable of the session: `options[NAME]`.
fn is_setting(name: &str) -> bool {
    name.strip_prefix("options[").is_some_and(|rest| rest.ends_with(']'))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> Option<UrlFault> {
        parse(&url.to_owned().into()).err()
    }

    #[test]
    fn every_parameter_that_sqlx_reads_is_taken() {
        assert_eq!(fault("postgres://user:secret@host:5432/db"), None);
        assert_eq!(fault("postgresql:///db?host=/run/postgresql&user=me&password=secret&port=5433&dbname=db"), None);
        assert_eq!(fault("postgres://host/db?sslmode=verify-full&ssl-root-cert=/ca.pem&options[search_path]=a"), None);
        for name in PARAMETERS {
            let value = match name {
                "hostaddr" => "127.0.0.1",
                "port" | "statement-cache-capacity" => "7",
                "sslmode" | "ssl-mode" => "disable",
                _ => "text",
            };
            assert_eq!(fault(&format!("postgres://host/db?{name}={value}")), None, "{name}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_without_its_value() {
        for name in ["pgbouncer", "passwd", "SSLMODE", "sslpassword", "connect_timeout", "statement_cache_capacity"] {
            let found = fault(&format!("postgres://user@host/db?sslmode=disable&{name}=hunter2")).expect("a fault");
            assert_eq!(found, UrlFault::UnknownParameter(name.to_owned()));
            assert!(!found.to_string().contains("hunter2"), "{found}");
        }
    }

    #[test]
    fn a_parameter_that_may_be_a_password_is_not_named() {
        for url in [
            "postgres://user:12?hunter2@host/db",
            "postgres://user:12?hunter2=x@host/db",
            "postgres://user:12?hunter2&x@host/db",
            "postgres://host/db?hunter2%20hunter2=x",
            "postgres://host/db?=hunter2",
            "postgres://host/db?options[hunter2=x",
        ] {
            assert_eq!(fault(url), Some(UrlFault::UnnamedParameter), "{url}");
        }
    }

    #[test]
    fn what_is_no_postgres_url_is_refused_without_a_value() {
        for url in [
            "mysql://user:hunter2@host/db",
            "host/db",
            "postgres:hunter2",
            "postgres://user:hunter2",
            "postgres://host/db?sslmode=hunter2",
            "postgres://host/db?port=hunter2",
            "",
        ] {
            assert_eq!(fault(url), Some(UrlFault::NoPostgresUrl), "{url}");
        }
    }
}
