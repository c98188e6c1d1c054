//! A file of JSON lines that the next run reads and extends. Only its owner can read it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use serde::{Serialize, de::DeserializeOwned};

/// Several times the largest answer: a longer line was written by something else.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// An open file of lines, locked against other processes.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: File,
    end: u64,
}

/// The place of a line in the file.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    at: u64,
    bytes: usize,
}

impl Lines {
    /// Opens or makes the file (0600), and passes every complete line to `read`. Drops a last line without its end, which a killed
    /// process leaves behind.
    ///
    /// # Errors
    /// When it is no regular file, the file cannot be used, another process writes to it, or `read` refuses a line.
    pub fn open(path: &Path, mut read: impl FnMut(&[u8], Span) -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let named = || path.display().to_string();
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(path).with_context(named)?;
        // Before its permissions are changed: a link may lead to a device.
        ensure!(file.metadata().with_context(named)?.is_file(), "{}: it is not a regular file", named());
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{}: another replay writes to it; wait for its end", named()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(named),
        }
        // An existing file may have other permissions.
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).with_context(named)?;
        let mut reader = BufReader::new(&file);
        let (mut end, mut number, mut line) = (0, 0, Vec::new());
        loop {
            line.clear();
            let bytes = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).with_context(named)?;
            ensure!((bytes as u64) < MAX_LINE_BYTES, "{}: a line has more than {MAX_LINE_BYTES} bytes", named());
            if line.pop() != Some(b'\n') {
                break;
            }
            number += 1;
            read(&line, Span { at: end, bytes: line.len() })
                .with_context(|| format!("{}, line {number}: remove the line, or name another folder", named()))?;
            end += bytes as u64;
        }
        drop(reader);
        file.set_len(end).with_context(named)?;
        Ok(Self { path: path.to_owned(), file, end })
    }

    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Appends a line, in one write.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, value: &impl Serialize) -> anyhow::Result<Span> {
        let mut line = serde_json::to_vec(value).context("write a line")?;
        let span = Span { at: self.end, bytes: line.len() };
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("write to {}", self.path.display()))?;
        self.end += line.len() as u64;
        Ok(span)
    }

    /// Waits until all lines are on the disk.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sync(&self) -> anyhow::Result<()> {
        self.file.sync_data().with_context(|| format!("write to {}", self.path.display()))
    }

    /// Reads one line again.
    ///
    /// # Errors
    /// When the line cannot be read.
    pub fn read<T: DeserializeOwned>(&self, span: Span) -> anyhow::Result<T> {
        let mut line = vec![0; span.bytes];
        let mut file = &self.file;
        let named = || format!("read {}", self.path.display());
        file.seek(SeekFrom::Start(span.at)).with_context(named)?;
        file.read_exact(&mut line).with_context(named)?;
        serde_json::from_slice(&line).ok().context("a line has changed since it was read").with_context(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &Path) -> anyhow::Result<(Lines, Vec<u32>)> {
        let mut seen = Vec::new();
        let lines = Lines::open(path, |line, _| {
            seen.push(serde_json::from_slice(line)?);
            Ok(())
        })?;
        Ok((lines, seen))
    }

    #[test]
    fn lines_are_read_again_and_a_torn_last_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let (mut lines, seen) = all(&path).unwrap();
        assert!(lines.is_empty() && seen.is_empty());
        lines.append(&1).unwrap();
        let span = lines.append(&23).unwrap();
        assert_eq!(lines.read::<u32>(span).unwrap(), 23);
        drop(lines);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"4").unwrap();
        let (mut lines, seen) = all(&path).unwrap();
        assert_eq!(seen, [1, 23]);
        lines.append(&5).unwrap();
        drop(lines);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n23\n5\n");
    }

    #[test]
    fn a_bad_line_is_named_and_a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, "1\nx\n").unwrap();
        let error = format!("{:#}", all(&path).unwrap_err());
        assert!(error.contains("lines, line 2: remove the line"), "{error}");
        std::fs::write(&path, "1\n").unwrap();
        let held = all(&path).unwrap();
        let error = all(&path).unwrap_err().to_string();
        assert!(error.ends_with("another replay writes to it; wait for its end"), "{error}");
        drop(held);
    }

    #[test]
    fn a_pipe_and_a_line_without_end_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, long) = (folder.path().join("pipe"), folder.path().join("long"));
        assert!(std::process::Command::new("mkfifo").args(["-m", "644"]).arg(&pipe).status().unwrap().success());
        assert!(all(&pipe).unwrap_err().to_string().ends_with("it is not a regular file"));
        assert_eq!(std::fs::metadata(&pipe).unwrap().permissions().mode() & 0o777, 0o644, "it is not touched");
        File::create(&long).unwrap().set_len(1 << 40).unwrap();
        assert!(all(&long).unwrap_err().to_string().ends_with("a line has more than 67108864 bytes"));
    }
}
