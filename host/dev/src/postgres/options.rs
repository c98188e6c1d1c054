use std::{env, path::PathBuf, process};

/// The superuser of every cluster.
pub(super) const USER: &str = "assay";

/// The kind of a cluster and its place.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The folder of the cluster. Created if missing; a cluster in it is started again.
    pub folder: PathBuf,
    /// Survives a crash of the machine. Off switches off `fsync`, `synchronous_commit` and `full_page_writes`: quick, for tests.
    pub durable: bool,
    /// Removes the folder when this server or this process ends, even by SIGKILL.
    pub temporary: bool,
    /// TCP port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Copies this primary in place of making a new cluster, and streams from it.
    pub primary: Option<Primary>,
    /// Further settings, as in `postgresql.conf`; a later one wins.
    pub settings: Vec<(String, String)>,
}

/// Where a standby streams from.
#[derive(Debug, Clone)]
pub struct Primary {
    pub(super) port: u16,
    pub(super) password: String,
}

impl PostgresOptions {
    /// Keeps a durable cluster in `folder` for the next start.
    pub fn kept(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), durable: true, temporary: false, port: 0, primary: None, settings: Vec::new() }
    }

    /// Makes a quick cluster without durability, in its own folder that is removed with this process.
    #[expect(clippy::disallowed_methods, reason = "a throwaway cluster; no configuration of a deployment")]
    pub fn throwaway() -> Self {
        let name = format!("assay-postgres-{}-{:016x}", process::id(), rand::random::<u64>());
        Self {
            folder: env::temp_dir().join(name),
            durable: false,
            temporary: true,
            port: 0,
            primary: None,
            settings: Vec::new(),
        }
    }

    /// Adds a setting of `postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}
