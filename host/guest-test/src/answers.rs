//! The answers of a fixture: one file each, numbered in the order of the questions.

use std::{collections::BTreeMap, path::Path};

use assay_guest_build::SourceFolder;

use crate::{
    fixture_error::{FixtureError, malformed},
    fixture_files::{is_stray, list, read_at_most},
};

/// The default of `ANSWER_MAX_BYTES`.
pub(crate) const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// Reads `answers/1.json`, `answers/2.txt`, … Returns none without the folder.
///
/// # Errors
/// [`FixtureError`] for a file that is not named by a number, a number twice, or a missing number.
pub(crate) fn read(files: &SourceFolder, folder: &Path) -> Result<Vec<String>, FixtureError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut numbered = BTreeMap::new();
    for path in list(files, folder)?.into_iter().filter(|path| !is_stray(path)) {
        let kind = path.extension().and_then(|extension| extension.to_str());
        if !kind.is_some_and(|kind| ["json", "txt", "md"].contains(&kind)) {
            return Err(malformed(&path, "answers are .json, .txt or .md"));
        }
        let number =
            path.file_stem().and_then(|stem| stem.to_str()?.parse::<usize>().ok()).filter(|number| *number > 0);
        let Some(number) = number else {
            return Err(malformed(&path, "answers are named by their number: 1.json, 2.txt"));
        };
        if numbered.insert(number, read_at_most(files, &path, MAX_ANSWER_BYTES)?).is_some() {
            return Err(malformed(folder, format!("it has answer {number} twice")));
        }
    }
    for (number, expected) in numbered.keys().zip(1..) {
        if *number != expected {
            return Err(malformed(folder, format!("answer {expected} is missing")));
        }
    }
    Ok(numbered.into_values().collect())
}
