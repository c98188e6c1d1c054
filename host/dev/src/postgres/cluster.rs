//! The folder of a cluster: its lock, its password, its data, and the leftovers of a dead server.
//!
//! ```text
//! folder/lock         held while a process serves the cluster
//! folder/password     of the superuser, 0600
//! folder/initialized  made after initdb succeeded
//! folder/log          of the server, 0600
//! folder/data         the cluster, owned by the account that runs it; under /var/tmp if that account cannot reach the folder
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::{
    account::Account,
    binaries::Binaries,
    cleaner::Cleaner,
    options::{PostgresOptions, Primary, USER},
};

/// How long a server whose owner just died gets to finish its shutdown.
const ORPHAN_SHUTDOWN_SECONDS: &str = "20";

/// A prepared cluster, locked for this process.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) binaries: Binaries,
    pub(super) account: Account,
    pub(super) password: String,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    folder: PathBuf,
    /// The kernel releases it if the process dies.
    _lock: File,
    /// Of a temporary cluster. Started before the first file is written.
    _cleaner: Option<Cleaner>,
}

impl Cluster {
    /// Creates the cluster or makes an existing one ready to be started.
    pub(super) fn prepare(options: &PostgresOptions) -> Result<Self> {
        let binaries = Binaries::find()?;
        let account = Account::choose()?;
        fs::create_dir_all(&options.folder).with_context(|| format!("create {}", options.folder.display()))?;
        let folder = options.folder.canonicalize().with_context(|| format!("open {}", options.folder.display()))?;
        let lock = lock(&folder)?;
        let data = data_folder(&folder, account)?;
        let cleaner = options.temporary.then(|| Cleaner::spawn(&data, &folder)).flatten();
        let cluster = Self {
            binaries,
            account,
            password: match &options.primary {
                Some(primary) => primary.password.clone(),
                None => password(&folder)?,
            },
            data,
            log: folder.join("log"),
            folder,
            _lock: lock,
            _cleaner: cleaner,
        };
        cluster.clear_leftovers()?;
        // The data may lie outside of the folder. If the folder was removed, its password is lost and the data is of no use.
        // A killed initdb leaves no mark either.
        let mark = cluster.folder.join("initialized");
        if !(mark.is_file() && cluster.data.join("PG_VERSION").is_file()) {
            match &options.primary {
                Some(primary) => cluster.copy(primary)?,
                None => cluster.initialize(options.durable)?,
            }
            write_private(&mark, "")?;
        }
        Ok(cluster)
    }

    /// Removes all it can: the folder may be half gone already.
    pub(super) fn remove(&self) {
        for path in [self.data.parent().unwrap_or(&self.data), &self.folder] {
            let _ = fs::remove_dir_all(path);
        }
    }

    fn initialize(&self, durable: bool) -> Result<()> {
        // An interrupted initdb leaves a folder that the next one refuses.
        let _ = fs::remove_dir_all(&self.data);
        let _ = fs::remove_file(self.folder.join("initialized"));
        DirBuilder::new().mode(0o700).create(&self.data).with_context(|| format!("create {}", self.data.display()))?;
        self.account.own(&self.data)?;
        let handed_over = self.data.with_extension("password");
        let _ = fs::remove_file(&handed_over);
        write_private(&handed_over, &self.password)?;
        self.account.own(&handed_over)?;

        let mut command = self.account.command(&self.binaries.program("initdb"))?;
        command.arg("-D").arg(&self.data).args([
            "-U",
            USER,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]);
        command.arg("--pwfile").arg(&handed_over).current_dir("/").stdin(Stdio::null());
        if !durable {
            command.arg("--no-sync");
        }
        let output = command.output().context("run initdb");
        let _ = fs::remove_file(&handed_over);
        let output = output?;
        if !output.status.success() {
            bail!("initdb ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Copies a primary while it runs, as a standby that streams from it.
    fn copy(&self, primary: &Primary) -> Result<()> {
        let _ = fs::remove_dir_all(&self.data);
        DirBuilder::new().mode(0o700).create(&self.data).with_context(|| format!("create {}", self.data.display()))?;
        self.account.own(&self.data)?;
        let mut command = self.account.command(&self.binaries.program("pg_basebackup"))?;
        command.arg("-D").arg(&self.data).args(["-h", "127.0.0.1", "-p", &primary.port.to_string(), "-U", USER]);
        command.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]);
        command.env("PGPASSWORD", &primary.password).current_dir("/").stdin(Stdio::null());
        let output = command.output().context("run pg_basebackup")?;
        if !output.status.success() {
            bail!("pg_basebackup ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Waits for an orphaned server that is still shutting down, and removes the `postmaster.pid` of a dead one.
    ///
    /// The lock is held, so the owner is dead. Postgres refuses to start if the recorded id now belongs to another process of the same
    /// user, which is common in containers.
    fn clear_leftovers(&self) -> Result<()> {
        let pid_file = self.data.join("postmaster.pid");
        let Ok(text) = fs::read_to_string(&pid_file) else { return Ok(()) };
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        if pid.is_some_and(|pid| self.is_served_by(pid)) {
            let mut stop = self.account.command(&self.binaries.program("pg_ctl"))?;
            stop.arg("stop")
                .arg("-D")
                .arg(&self.data)
                .args(["-m", "fast", "-w", "-t", ORPHAN_SHUTDOWN_SECONDS])
                .current_dir("/");
            let output = stop.stdin(Stdio::null()).output().context("run pg_ctl")?;
            if !output.status.success() {
                bail!("an orphaned server still serves the cluster in {}; end it first", self.folder.display());
            }
        }
        match fs::remove_file(&pid_file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("remove a stale postmaster.pid"),
            _ => Ok(()),
        }
    }

    /// Returns whether the process is a server of this cluster: only a server runs in the data folder. Without `/proc`, the command line
    /// decides.
    fn is_served_by(&self, pid: u32) -> bool {
        if Path::new("/proc/self").exists() {
            return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == self.data);
        }
        let arguments = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output();
        arguments.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&*self.data.to_string_lossy()))
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another process serves the Postgres cluster in {}; end it first", folder.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

/// Returns `folder/data`, or a folder under `/var/tmp` if the account cannot reach that one (below `/root`, for example).
fn data_folder(folder: &Path, account: Account) -> Result<PathBuf> {
    let data = folder.join("data");
    if account.reaches(&data) {
        return Ok(data);
    }
    let hash = hex(&Sha256::digest(folder.as_os_str().as_encoded_bytes())[..8]);
    let elsewhere = PathBuf::from(format!("/var/tmp/assay-{}-{hash}", account.uid()));
    match DirBuilder::new().mode(0o700).create(&elsewhere) {
        Ok(()) => account.own(&elsewhere)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // The name can be guessed and /var/tmp is open to all: trust only a private folder of the account.
            let metadata =
                fs::symlink_metadata(&elsewhere).with_context(|| format!("look at {}", elsewhere.display()))?;
            if !metadata.is_dir() || metadata.uid() != account.uid() || metadata.mode() & 0o077 != 0 {
                bail!(
                    "{} exists and is not a private folder of user {}; remove it",
                    elsewhere.display(),
                    account.uid()
                );
            }
        }
        Err(error) => return Err(error).with_context(|| format!("create {}", elsewhere.display())),
    }
    Ok(elsewhere.join("data"))
}

/// Returns the superuser's password: random, made once per folder.
fn password(folder: &Path) -> Result<String> {
    let path = folder.join("password");
    match fs::read_to_string(&path) {
        Ok(password) if !password.trim().is_empty() => return Ok(password.trim().to_owned()),
        Ok(_) => fs::remove_file(&path).context("remove an empty password file")?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    }
    let password = hex(&rand::random::<[u8; 16]>());
    write_private(&path, &password)?;
    Ok(password)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("create {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
