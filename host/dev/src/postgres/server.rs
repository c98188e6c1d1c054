//! The server process, and the thread that keeps it.
//!
//! The kernel signals a child when the *thread* that forked it ends, so a thread starts the server and lives exactly as long. It reads
//! the server's log from a pipe and sees there when the server is ready.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal};

use super::{cluster::Cluster, options::PostgresOptions};

/// A start may include the crash recovery of a kept cluster.
const START_TIMEOUT: Duration = Duration::from_secs(120);

const MAX_LOG_LINES_PER_ERROR: usize = 8;

/// A standby accepts read-only connections.
const READY_MARK: &str = "database system is ready to accept ";

#[derive(Debug, Clone, Copy)]
pub(super) enum Stop {
    /// Ends sessions and flushes everything.
    Fast,
    /// Ends as a crash does: the next start recovers.
    Immediate,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    /// `None` once the process was reaped, so that no signal can reach another process with the same id.
    pid: Arc<Mutex<Option<Pid>>>,
    keeper: JoinHandle<()>,
}

impl Server {
    /// Starts the server and waits until it accepts connections.
    pub(super) fn start(cluster: &Cluster, options: &PostgresOptions, port: u16) -> Result<Self> {
        let command = command(cluster, options, port)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&cluster.log)
            .context("open the server's log")?;
        let pid = Arc::new(Mutex::new(None));
        let (report, reported) = mpsc::channel();
        let keeper = thread::Builder::new()
            .name("postgres-keeper".to_owned())
            .spawn({
                let pid = Arc::clone(&pid);
                move || keep(command, log, &pid, &report)
            })
            .context("start the thread that keeps Postgres")?;
        let started = reported
            .recv_timeout(START_TIMEOUT)
            .unwrap_or_else(|_| Err(anyhow!("Postgres was not ready after {START_TIMEOUT:?}")));
        let server = Self { pid, keeper };
        match started {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop(Stop::Immediate);
                Err(error)
            }
        }
    }

    /// Ends the server and waits until every process of it is gone.
    pub(super) fn stop(self, how: Stop) {
        let signal = match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        if let Some(pid) = *self.pid.lock() {
            let _ = rustix::process::kill_process(pid, signal);
        }
        let _ = self.keeper.join();
    }
}

fn command(cluster: &Cluster, options: &PostgresOptions, port: u16) -> Result<Command> {
    let mut settings: Vec<(&str, String)> = vec![
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", String::new()),
        ("logging_collector", "off".to_owned()),
        ("log_destination", "stderr".to_owned()),
        // `READY_MARK` is English.
        ("lc_messages", "C".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("max_connections", "200".to_owned()),
    ];
    if !options.durable {
        settings.extend(["fsync", "synchronous_commit", "full_page_writes"].map(|name| (name, "off".to_owned())));
    }
    settings.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));

    let mut command = cluster.account.command(&cluster.binaries.program("postgres"))?;
    command.arg("-D").arg(&cluster.data).current_dir("/");
    for (name, value) in settings {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    // In its own group, Ctrl-C at a terminal does not reach the server: this process stops it in order.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

/// Runs the server from start to end; reports once, when it is ready or ended before that.
fn keep(mut command: Command, mut log: File, pid: &Mutex<Option<Pid>>, report: &mpsc::Sender<Result<()>>) {
    let mut child: Child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = report.send(Err(anyhow!(error).context("run postgres")));
            return;
        }
    };
    *pid.lock() = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut last_lines = Vec::new();
    let mut ready = false;
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let _ = writeln!(log, "{line}");
            if !ready && line.contains(READY_MARK) {
                ready = true;
                let _ = report.send(Ok(()));
            }
            if !ready {
                if last_lines.len() == MAX_LOG_LINES_PER_ERROR {
                    last_lines.remove(0);
                }
                last_lines.push(line);
            }
        }
    }
    // The pipe is closed, so every process of the server is gone or going: this wait is short.
    let mut pid = pid.lock();
    let status = child.wait();
    *pid = None;
    if !ready {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let _ = report.send(Err(anyhow!("Postgres ended before it was ready ({status}): {}", last_lines.join(" | "))));
    }
}
