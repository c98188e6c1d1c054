//! Reads and writes single files of fixtures.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use assay_guest_build::{FileTooLarge, SourceFolder};

use crate::fixture_error::{FixtureError, io_at, malformed};

/// Recognizes files of editors and file managers.
pub(crate) fn is_stray(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".tmp")
}

pub(crate) fn list(files: &SourceFolder, folder: &Path) -> Result<Vec<PathBuf>, FixtureError> {
    files.list(folder).map_err(io_at(folder))
}

/// Reads a text within the limit of a worker.
pub(crate) fn read_at_most(files: &SourceFolder, path: &Path, limit: u64) -> Result<String, FixtureError> {
    files.read(path, limit).map_err(|error| match FileTooLarge::of(&error) {
        Some(FileTooLarge { bytes, limit }) => {
            malformed(path, format!("{bytes} bytes; a worker takes at most {limit}"))
        }
        None => io_at(path)(error),
    })
}

/// Reads a text if there is such a file.
pub(crate) fn read_if_present(files: &SourceFolder, path: &Path, limit: u64) -> Result<Option<String>, FixtureError> {
    match files.read(path, limit) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_at(path)(error)),
    }
}

/// Writes a file, whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), FixtureError> {
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path)).map_err(io_at(path))
}
