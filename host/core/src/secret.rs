//! Secrets that may change while the process runs: where each came from, and reading it again.

use std::{
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use secrecy::{ExposeSecret, SecretString};

/// Far more than any key, password or URL.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A secret with the file that it can be read from again. Clones share the value.
#[derive(Clone)]
pub struct Secret {
    variable: &'static str,
    file: Option<PathBuf>,
    value: Arc<RwLock<SecretString>>,
}

/// A file of a secret that cannot be used. Names the variable and the file; has nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {path}: {reason}", path = path.display())]
pub struct SecretFileError {
    pub variable: &'static str,
    pub path: PathBuf,
    pub reason: String,
}

impl Secret {
    /// Takes the value of a variable; it never changes.
    pub fn fixed(variable: &'static str, value: impl Into<SecretString>) -> Self {
        Self { variable, file: None, value: Arc::new(RwLock::new(value.into())) }
    }

    /// Reads a file, which may have another value later.
    ///
    /// # Errors
    /// The file cannot be read, is empty, is no UTF-8, or has more than 64 KiB.
    pub fn from_file(variable: &'static str, path: &Path) -> Result<Self, SecretFileError> {
        let value = read(variable, path)?;
        Ok(Self { variable, file: Some(path.to_owned()), value: Arc::new(RwLock::new(value)) })
    }

    /// Returns the variable that gave the value or the file.
    pub fn variable(&self) -> &'static str {
        self.variable
    }

    /// Returns the value that was read last.
    pub fn current(&self) -> SecretString {
        self.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again. Returns whether the value is another one; without a file it never is.
    ///
    /// # Errors
    /// As [`Self::from_file`]. The value of before stays.
    pub fn read_again(&self) -> Result<bool, SecretFileError> {
        let Some(path) = &self.file else { return Ok(false) };
        let value = read(self.variable, path)?;
        let mut current = self.value.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.expose_secret() != value.expose_secret();
        *current = value;
        Ok(changed)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("variable", &self.variable).field("file", &self.file).finish_non_exhaustive()
    }
}

/// Reads a secret as orchestrators write it: the whole file, without the line end that editors add.
fn read(variable: &'static str, path: &Path) -> Result<SecretString, SecretFileError> {
    let error = |reason: String| SecretFileError { variable, path: path.to_owned(), reason };
    let file = fs::File::open(path).map_err(|cause| error(cause.kind().to_string()))?;
    let mut text = String::new();
    // A name that leads to a device or a pipe without an end is no reason to use up the memory.
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|cause| error(cause.kind().to_string()))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(error(format!("more than {MAX_FILE_BYTES} bytes")));
    }
    let value = text.trim_end_matches(['\r', '\n']);
    if value.trim().is_empty() {
        return Err(error("it is empty".to_owned()));
    }
    Ok(value.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        fs::write(&path, content).expect("a file");
        (folder, path)
    }

    #[test]
    fn a_file_is_read_without_its_last_line_end() {
        for (content, value) in [("hush", "hush"), ("hush\n", "hush"), ("hush\r\n", "hush"), (" hu sh\n", " hu sh")] {
            let (_folder, path) = file(content.as_bytes());
            let secret = Secret::from_file("KEY_FILE", &path).expect("a secret");
            assert_eq!(secret.current().expose_secret(), value);
        }
    }

    #[test]
    fn another_value_is_seen_by_every_clone() {
        let (_folder, path) = file(b"one\n");
        let secret = Secret::from_file("KEY_FILE", &path).expect("a secret");
        let clone = secret.clone();
        assert_eq!(secret.read_again(), Ok(false));
        fs::write(&path, "two").expect("a file");
        assert_eq!(secret.read_again(), Ok(true));
        assert_eq!(clone.current().expose_secret(), "two");
        assert_eq!(secret.read_again(), Ok(false));
        assert_eq!(Secret::fixed("KEY", "one".to_owned()).read_again(), Ok(false));
    }

    #[test]
    fn a_file_of_no_use_keeps_the_value_of_before_and_is_named_without_its_content() {
        let (folder, path) = file(b"hush");
        let secret = Secret::from_file("KEY_FILE", &path).expect("a secret");
        let long = vec![b'x'; 70_000];
        for (content, reason) in [
            (&b""[..], "it is empty"),
            (b"\n", "it is empty"),
            (b"  \n", "it is empty"),
            (b"hush\xff", "invalid data"),
            (&long, "more than 65536 bytes"),
        ] {
            fs::write(&path, content).expect("a file");
            let error = secret.read_again().expect_err("of no use");
            assert_eq!((error.variable, error.reason.as_str()), ("KEY_FILE", reason));
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        drop(folder);
        assert!(secret.read_again().expect_err("gone").to_string().ends_with("key: entity not found"));
        assert_eq!(secret.current().expose_secret(), "hush");
        assert!(!format!("{secret:?}").contains("hush"), "{secret:?}");
    }

    #[test]
    fn a_device_without_an_end_is_no_secret() {
        let error = Secret::from_file("KEY_FILE", Path::new("/dev/zero")).expect_err("a device");
        assert_eq!(error.reason, "more than 65536 bytes");
    }
}
