//! Searches the logs of a run for words of documents.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context;

use crate::talk::{IN_ANSWER, IN_NAME, IN_PROMPT, IN_TRANSCRIPT};

/// What no log may have, and what it is a part of.
const WORDS: [(&str, &str); 4] = [
    (IN_TRANSCRIPT, "a transcript"),
    (IN_ANSWER, "an answer"),
    (IN_NAME, "the name of a file"),
    (IN_PROMPT, "a prompt"),
];

/// Returns whose words a line of a log has.
fn words(line: &str) -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().filter(move |(word, _)| line.contains(word)).map(|(_, whose)| whose)
}

/// What was found in logs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Lines that have a word in them which no log may have: where, and whose word it is.
    pub leaks: Vec<(String, &'static str)>,
    /// Raw outputs that workers could not write and said so: their keys.
    pub unkept: BTreeSet<String>,
    /// Breakers that opened: where it stands, and of which dependency.
    pub opened: Vec<(String, String)>,
    pub lines: usize,
}

/// Returns the key of a raw output, of the line that says that it could not be written.
fn unkept(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("event=\"raw_output_write_failed\"")?;
    let (_, rest) = rest.split_once("object.key=\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Returns the dependency whose breaker opened, of the line that says so.
fn opened(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("event=\"breaker_opened\"")?;
    let (_, rest) = rest.split_once("dependency=\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Searches every log of a folder.
///
/// # Errors
/// If a log cannot be read.
pub fn search(folder: &Path) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let log = std::fs::read(&path).with_context(|| path.display().to_string())?;
        for (number, line) in (1..).zip(String::from_utf8_lossy(&log).lines()) {
            found.lines += 1;
            found.leaks.extend(words(line).map(|whose| (format!("{}:{number}", path.display()), whose)));
            found.unkept.extend(unkept(line));
            found.opened.extend(opened(line).map(|of| (format!("{}:{number}", path.display()), of)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_document_is_found_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w1-1.log"), "INFO fine\nDEBUG body=zqt-accepted-0 zqa-\n").unwrap();
        let logs = search(folder.path()).unwrap();
        assert_eq!((logs.lines, logs.leaks.len()), (2, 2));
        let (place, whose) = &logs.leaks[0];
        assert!(place.ends_with("w1-1.log:2") && *whose == "a transcript", "{place}: {whose}");
    }

    #[test]
    fn the_key_of_a_raw_output_that_could_not_be_written_is_found() {
        let line =
            r#"ERROR job{attempt=1}: keep the raw output event="raw_output_write_failed" error=no object.key="a/raw""#;
        assert_eq!(unkept(line), Some("a/raw".to_owned()));
        assert_eq!(unkept(r#"INFO event="object_swept" object.key="a/raw""#), None);
    }
    #[test]
    fn a_breaker_that_opened_is_found() {
        let line = r#"ERROR breaker opened: no jobs that need the dependency are claimed event="breaker_opened" dependency="model" reason="failures""#;
        assert_eq!(opened(line).as_deref(), Some("model"));
        assert_eq!(opened(r#"INFO breaker closed dependency="model""#), None);
    }
}
