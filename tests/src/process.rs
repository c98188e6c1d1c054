//! The real binary as a process: its environment is given in full, its lines are kept, it can be signalled, and it dies with the test.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use parking_lot::Mutex;
pub use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::within;

/// Returns the binary: `ASSAY_BIN`, else what cargo built beside this test.
///
/// # Panics
/// The binary was not built.
#[expect(clippy::disallowed_methods, reason = "a variable may name another binary for a run of the tests")]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ASSAY_BIN") {
        return path.into();
    }
    let path = built().join("assay");
    assert!(path.is_file(), "{} is missing: run `cargo build -p assay --features wasi` first", path.display());
    path
}

/// Returns where cargo puts what it builds: target/debug, be this a test, which lies in its folder deps, or a binary.
pub(crate) fn built() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    let folder = program.parent().expect("a program lies in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("deps lies in a folder") } else { folder };
    folder.to_owned()
}

/// A running `assay`. Dropping it kills it.
#[derive(Debug)]
pub struct AssayProcess {
    child: Child,
    lines: Arc<Lines>,
    reading: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Lines {
    stdout: Mutex<Vec<String>>,
    stderr: Mutex<Vec<String>>,
    changed: watch::Sender<usize>,
}

impl AssayProcess {
    /// Starts `assay` with these arguments, and with this environment and nothing else but `PATH` and `HOME`.
    pub fn spawn(arguments: &[&str], environment: &BTreeMap<String, String>) -> Self {
        Self::spawn_program(&binary(), arguments, environment)
    }

    /// Starts another build of `assay`, as [`Self::spawn`].
    ///
    /// # Panics
    /// The program does not start.
    #[expect(clippy::disallowed_methods, reason = "a child finds programs and caches as this process does")]
    pub fn spawn_program(program: &Path, arguments: &[&str], environment: &BTreeMap<String, String>) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        command.envs(["PATH", "HOME"].iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        command.envs(environment);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let lines =
            Arc::new(Lines { stdout: Mutex::default(), stderr: Mutex::default(), changed: watch::Sender::new(0) });
        let reading = [
            keep(child.stdout.take(), Arc::clone(&lines), |lines| &lines.stdout),
            keep(child.stderr.take(), Arc::clone(&lines), |lines| &lines.stderr),
        ];
        Self { child, lines, reading: reading.into_iter().flatten().collect() }
    }

    /// Returns the process id.
    ///
    /// # Panics
    /// After the process was waited for.
    pub fn id(&self) -> u32 {
        self.child.id().expect("a process that was not waited for has an id")
    }

    /// Returns the lines on standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.lines.stderr.lock().clone()
    }

    /// Returns the lines on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.lines.stdout.lock().clone()
    }

    /// Waits for a line, on either stream and from the beginning, that contains `needle`; returns it.
    pub async fn wait_for_line(&self, needle: &str) -> String {
        within(&format!("a line with {needle:?}"), self.lines.wait_for(needle)).await;
        self.lines.find(needle).expect("lines are never taken away")
    }

    /// Waits for a line or the end of the process; returns whether the line came.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub async fn wait_for_line_or_end(&mut self, needle: &str) -> bool {
        let lines = Arc::clone(&self.lines);
        let wait = async {
            tokio::select! {
                () = lines.wait_for(needle) => true,
                status = self.child.wait() => {
                    status.expect("a child can be waited for");
                    false
                }
            }
        };
        within(&format!("a line with {needle:?}, or the end of the process"), wait).await
    }

    /// Waits until what it has written to standard output satisfies `done`.
    pub async fn wait_for_stdout(&self, what: &str, done: impl Fn(&[String]) -> bool) {
        let mut changed = self.lines.changed.subscribe();
        let wait = async { changed.wait_for(|_| done(&self.lines.stdout.lock())).await.is_ok() };
        within(what, wait).await;
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        rustix::process::kill_process(id, signal).expect("a living process takes signals");
    }

    /// Returns whether it has ended, by itself or by a signal.
    ///
    /// # Panics
    /// If that cannot be found out.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be looked at").is_some()
    }

    /// Waits for the end, and until every line is kept.
    pub async fn wait(&mut self) -> ExitStatus {
        within("the end of the process", self.wait_however_long()).await
    }

    /// Returns the same without a deadline, for a process whose caller has one.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub async fn wait_however_long(&mut self) -> ExitStatus {
        let status = self.child.wait().await.expect("a child can be waited for");
        for reading in self.reading.drain(..) {
            within("the end of its lines", reading).await.expect("reading lines does not panic");
        }
        status
    }
}

impl Lines {
    fn find(&self, needle: &str) -> Option<String> {
        let found = |lines: &Mutex<Vec<String>>| lines.lock().iter().find(|line| line.contains(needle)).cloned();
        found(&self.stderr).or_else(|| found(&self.stdout))
    }

    async fn wait_for(&self, needle: &str) {
        let mut changed = self.changed.subscribe();
        // The sender is a part of what waits.
        let _ = changed.wait_for(|_| self.find(needle).is_some()).await;
    }
}

fn keep<R>(stream: Option<R>, lines: Arc<Lines>, which: fn(&Lines) -> &Mutex<Vec<String>>) -> Option<JoinHandle<()>>
where
    R: AsyncRead + Unpin + Send + 'static,
{
    let mut reader = BufReader::new(stream?).lines();
    Some(tokio::spawn(async move {
        while let Ok(Some(line)) = reader.next_line().await {
            which(&lines).lock().push(line);
            lines.changed.send_modify(|count| *count += 1);
        }
    }))
}
