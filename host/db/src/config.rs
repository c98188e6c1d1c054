//! The database's address and limits.

use std::time::Duration;

use anyhow::Context;
use assay_core::{
    env::{SecretVariable, Variables},
    secret::Secret,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

use crate::{
    database_url::{encryption, parse},
    login::Login,
    pooling::Pooling,
};

pub use crate::database_url::Encryption;

const URL: SecretVariable = SecretVariable {
    name: "DATABASE_URL",
    file: "DATABASE_URL_FILE",
    help: "the Postgres database of files and jobs, postgres://…",
};

/// Bounds what a session gathers on the server, and how long one stays where a load balancer has moved away from.
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

const DIRECT_URL: SecretVariable = SecretVariable {
    name: "DATABASE_DIRECT_URL",
    file: "DATABASE_DIRECT_URL_FILE",
    help: "the same database past a pooler, for LISTEN and `assay migrate`; empty uses DATABASE_URL",
};

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
    /// What stands between this process and the server.
    pub pooling: Pooling,
    /// The options of new connections; sqlx redacts the password in `Debug`.
    pub(crate) login: Login,
    /// The same for connections past a pooler.
    pub(crate) direct: Option<Login>,
}

impl DatabaseConfig {
    /// Declares and reads the variables of the database.
    pub fn load(vars: &mut Variables) -> Self {
        let url = vars.required_secret(URL);
        let password_command = vars.optional(
            "DATABASE_PASSWORD_COMMAND",
            "shell command that prints the password, such as a token of IAM; run again when it is refused",
        );
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
        let pooling = Pooling::load(vars);
        let direct = vars.secret(DIRECT_URL);
        let login = login_of(vars, url, password_command.clone());
        let direct = direct.map(|url| login_of(vars, url, password_command));
        Self { pool, timeout, max_lifetime, idle_timeout, pooling, login, direct }
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
            pooling: Pooling::None,
            login: Login::new(Secret::fixed(URL.name, url.clone()), None, options),
            direct: None,
        })
    }

    /// Returns host and port, or the folder of the socket: where connections go.
    pub fn address(&self) -> String {
        let options = self.login.options();
        match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None if options.get_host().contains(':') => format!("[{}]:{}", options.get_host(), options.get_port()),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    /// Returns the login of connections past a pooler, and what stands before the server then.
    pub(crate) fn direct_login(&self) -> (&Login, Pooling) {
        self.direct.as_ref().map_or((&self.login, self.pooling), |login| (login, Pooling::None))
    }

    /// Returns how connections are protected.
    pub fn encryption(&self) -> Encryption {
        encryption(&self.login.options())
    }
}

/// Reads a URL. A wrong one is a fault, and an empty one was reported already.
fn login_of(vars: &mut Variables, url: Secret, password_command: Option<String>) -> Login {
    let options = parse(&url.current()).unwrap_or_else(|fault| {
        if !url.current().expose_secret().is_empty() {
            vars.fault(url.variable(), fault);
        }
        PgConnectOptions::new_without_pgpass()
    });
    Login::new(url, password_command, options)
}

/// Returns the options of every session, but for its settings.
pub(crate) fn session(options: PgConnectOptions) -> PgConnectOptions {
    options
        .application_name("assay")
        // sqlx would log whole statements. The callers log what matters, with the job's id.
        .disable_statement_logging()
}
