//! A private Postgres cluster, run from the binaries that this machine already has.
//!
//! The server is a child process that dies with this one, whatever way that ends, and listens on loopback with a random password only.
//! Postgres refuses root, so root hands the cluster to an unprivileged account ([`account`]).

mod account;
mod binaries;
mod cleaner;
mod cluster;
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
use server::{Server, Stop};

/// The superuser of every cluster started here.
const USER: &str = "assay";

/// How often a start is tried on another port when somebody took the one that was free a moment ago.
const PORT_ATTEMPTS: usize = 5;

/// What kind of cluster to start, and where.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The folder that belongs to the cluster; created where missing, started again where it holds one.
    pub folder: PathBuf,
    /// Survive a crash of the machine. Off means `fsync`, `synchronous_commit` and `full_page_writes` off: quick, for tests.
    pub durable: bool,
    /// Remove the folder when this server or this process ends, however it ends.
    pub temporary: bool,
    /// TCP port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Further settings, as in `postgresql.conf`; a later one wins.
    pub settings: Vec<(String, String)>,
}

impl PostgresOptions {
    /// A durable cluster in `folder` that is found again at the next start.
    pub fn kept(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), durable: true, temporary: false, port: 0, settings: Vec::new() }
    }

    /// A quick cluster without durability, in a folder of its own that vanishes with this process.
    pub fn throwaway() -> Self {
        let name = format!("assay-postgres-{}-{:016x}", std::process::id(), rand::random::<u64>());
        Self { folder: std::env::temp_dir().join(name), durable: false, temporary: true, port: 0, settings: Vec::new() }
    }

    /// Adds a setting of `postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running cluster. Dropping it stops the server (fast mode: sessions are ended, everything is flushed) and waits until it is gone.
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
    /// Whether this machine has the programs that [`Postgres::start`] runs.
    pub fn is_installed() -> bool {
        Binaries::find().is_ok()
    }

    /// Starts the cluster and returns when it accepts connections.
    ///
    /// # Errors
    /// Where no Postgres is installed (the message says what to install), where the folder is served by another process, or with the
    /// last lines of the server's own log where it does not come up.
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
                            && attempt < PORT_ATTEMPTS
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

    /// The connection URL of a database, as the cluster's superuser. It holds the password: never log it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.inner.cluster.password, self.inner.port)
    }

    /// The connection URL of the maintenance database `postgres`.
    pub fn admin_url(&self) -> String {
        self.url("postgres")
    }

    /// The server's own log.
    pub fn log(&self) -> &Path {
        &self.inner.cluster.log
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// Creates a database where it is missing.
    ///
    /// # Errors
    /// Where the name is not made of `a-z`, `0-9` and `_`, or where `psql` reports an error.
    pub async fn ensure_database(&self, name: &str) -> Result<()> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            bail!("a database name holds a-z, 0-9 and _ only");
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
    /// Where the server does not come back.
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

    /// Stops the server and waits for its end; what [`Drop`] does, without blocking the caller's thread.
    ///
    /// # Errors
    /// Where the blocking task could not be run.
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

/// A port that nobody listens on right now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("run a blocking task")?
}
