//! Why a fixture cannot be read or written.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a fixture cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// A file or folder cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error. It is part of the message, so it is not a source too.
        error: io::Error,
    },
    /// A file or folder breaks a rule.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file or folder.
        path: PathBuf,
        /// The broken rule.
        reason: String,
    },
}

pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> FixtureError {
    let path = path.to_owned();
    |error| FixtureError::Io { path, error }
}

pub(crate) fn malformed(path: &Path, reason: impl ToString) -> FixtureError {
    FixtureError::Malformed { path: path.to_owned(), reason: reason.to_string() }
}
