//! A private Postgres cluster, run from the binaries that this machine already has.
//!
//! The server is a child process that dies with this one, even by SIGKILL. It listens on loopback only, with a random password.
//! Postgres refuses root, so root gives the cluster to an unprivileged account ([`account`]).

mod account;
mod binaries;
mod cleaner;
mod cluster;
mod options;
mod server;

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;

use binaries::Binaries;
use cluster::Cluster;
pub use options::PostgresOptions;
use options::{Primary, USER};
use server::{Server, Stop};

/// A free port may be taken by another process before the server binds it.
const MAX_PORT_ATTEMPTS: usize = 5;

/// A running cluster. Dropping it stops the server and waits until it is gone.
#[derive(Debug)]
pub struct Postgres {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    options: PostgresOptions,
    port: u16,
    server: Mutex<Option<Server>>,
}

impl Postgres {
    /// Returns whether this machine has the programs that [`Postgres::start`] runs.
    pub fn is_installed() -> bool {
        Binaries::find().is_ok()
    }

    /// Returns the folder of the programs that [`Postgres::start`] runs, with `psql` among them.
    ///
    /// # Errors
    /// Postgres is not installed; the message says what to install.
    pub fn programs() -> Result<PathBuf> {
        Ok(Binaries::find()?.folder().to_owned())
    }

    /// Starts the cluster and returns when it accepts connections.
    ///
    /// # Errors
    /// If Postgres is not installed (the message says what to install), if another process serves the folder, or if the server does not
    /// start (with the last lines of its log).
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        blocking(move || {
            let cluster = Cluster::prepare(&options)?;
            let mut attempt = 1;
            let (port, server) = loop {
                let port = if options.port == 0 { free_port()? } else { options.port };
                match Server::start(&cluster, &options, port) {
                    Ok(server) => break (port, server),
                    Err(error)
                        if options.port == 0
                            && attempt < MAX_PORT_ATTEMPTS
                            && error.to_string().contains("could not bind") =>
                    {
                        attempt += 1
                    }
                    Err(error) => {
                        if options.temporary {
                            cluster.remove();
                        }
                        return Err(error);
                    }
                }
            };
            tracing::debug!(port, "postgres is ready");
            Ok(Self { inner: Arc::new(Inner { cluster, options, port, server: Mutex::new(Some(server)) }) })
        })
        .await
    }

    /// Starts a throwaway standby that streams from this cluster, and is read-only until it is promoted.
    ///
    /// # Errors
    /// As [`Self::start`]; or if this cluster cannot be copied.
    pub async fn start_standby(&self) -> Result<Self> {
        let primary = Primary { port: self.inner.port, password: self.inner.cluster.password.clone() };
        let settings = self.inner.options.settings.clone();
        Self::start(PostgresOptions { primary: Some(primary), settings, ..PostgresOptions::throwaway() }).await
    }

    /// Returns the superuser's connection URL of a database. It holds the password: never log it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.inner.cluster.password, self.inner.port)
    }

    /// Returns the connection URL of the maintenance database `postgres`.
    pub fn admin_url(&self) -> String {
        self.url("postgres")
    }

    /// Returns the path of the server's log.
    pub fn log(&self) -> &Path {
        &self.inner.cluster.log
    }

    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// Creates a database if it is missing.
    ///
    /// # Errors
    /// If the name is not made of `a-z`, `0-9` and `_`, or if `psql` reports an error.
    pub async fn ensure_database(&self, name: &str) -> Result<()> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            bail!("invalid database name `{name}`: expected a-z, 0-9 and _");
        }
        let (inner, url, name) = (Arc::clone(&self.inner), self.admin_url(), name.to_owned());
        blocking(move || {
            let script = format!("SELECT 'CREATE DATABASE {name}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec\n");
            inner.cluster.binaries.run_script(&url, &script).context("create the database")
        })
        .await
    }

    /// Ends the server as a crash would (no checkpoint, sessions cut) and starts it again on the same port.
    ///
    /// # Errors
    /// If the server does not start again.
    pub async fn restart_immediate(&self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let mut server = inner.server.lock();
            if let Some(running) = server.take() {
                running.stop(Stop::Immediate);
            }
            *server = Some(Server::start(&inner.cluster, &inner.options, inner.port)?);
            Ok(())
        })
        .await
    }

    /// Stops the server as [`Drop`] does, without blocking the caller's thread.
    ///
    /// # Errors
    /// If the blocking task could not be run.
    pub async fn stop(self) -> Result<()> {
        blocking(move || {
            drop(self);
            Ok(())
        })
        .await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(server) = self.server.get_mut().take() {
            server.stop(if self.options.durable { Stop::Fast } else { Stop::Immediate });
        }
        if self.options.temporary {
            self.cluster.remove();
        }
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("run a blocking task")?
}
