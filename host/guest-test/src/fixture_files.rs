//! Reads and writes single files of fixtures.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::fixture_error::{FixtureError, io_at, malformed};

/// Recognizes files of editors and file managers.
pub(crate) fn is_stray(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".tmp")
}

pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, FixtureError> {
    let entries = fs::read_dir(folder).map_err(io_at(folder))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(io_at(folder))).collect()
}

/// Reads a text within the limit of a worker.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> Result<String, FixtureError> {
    let bytes = path.metadata().map_err(io_at(path))?.len();
    if bytes > limit {
        return Err(malformed(path, format!("{bytes} bytes; a worker takes at most {limit}")));
    }
    fs::read_to_string(path).map_err(io_at(path))
}

/// Writes a file, whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), FixtureError> {
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path)).map_err(io_at(path))
}
