//! The answers of a fixture: one file each, numbered in the order of the questions.

use std::{collections::BTreeMap, path::Path};

use crate::fixture::{FixtureError, is_stray, list, misnamed, read_answer};

/// Reads `answers/1.json`, `answers/2.txt`, … A folder that is not there holds none.
///
/// # Errors
/// A file that is not named by its number, a number twice, or one left out.
pub(crate) fn read(folder: &Path) -> Result<Vec<String>, FixtureError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut numbered = BTreeMap::new();
    for path in list(folder)?.into_iter().filter(|path| !is_stray(path)) {
        let kind = path.extension().and_then(|extension| extension.to_str());
        if !kind.is_some_and(|kind| ["json", "txt", "md"].contains(&kind)) {
            return Err(misnamed(&path, "answers are .json, .txt or .md"));
        }
        let number =
            path.file_stem().and_then(|stem| stem.to_str()?.parse::<usize>().ok()).filter(|number| *number > 0);
        let Some(number) = number else {
            return Err(misnamed(&path, "answers are named by their number: 1.json, 2.txt"));
        };
        if numbered.insert(number, read_answer(&path)?).is_some() {
            return Err(misnamed(folder, format!("it has answer {number} twice")));
        }
    }
    for (number, expected) in numbered.keys().zip(1..) {
        if *number != expected {
            return Err(misnamed(folder, format!("answer {expected} is missing")));
        }
    }
    Ok(numbered.into_values().collect())
}
