//! Removes a temporary cluster when this process ends, even by SIGKILL.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{ChildStdin, Command, Stdio},
};

/// Waits for the end of its input, ends a server that still runs, and removes its folders. A server removes `postmaster.pid` last.
const SCRIPT: &str = r#"read -r _
pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
i=0; while [ -e "$1/postmaster.pid" ] && [ $i -lt 50 ]; do sleep 0.1; i=$((i+1)); done
rm -rf "$2" "$3""#;

/// A shell at the other end of a pipe. The kernel closes the pipe when this process ends, even by SIGKILL.
#[derive(Debug)]
pub(super) struct Cleaner {
    _pipe: ChildStdin,
}

impl Cleaner {
    /// Starts the shell. If that fails, a killed test run leaves a folder behind.
    pub(super) fn spawn(data: &Path, folder: &Path) -> Option<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "assay-cleaner"])
            .args([data, data.parent()?, folder])
            // Ctrl-C at a terminal must not end it before its work.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { _pipe: shell.stdin.take()? })
    }
}
