//! No word of a document in any log.

use std::path::Path;

use anyhow::Context;

use super::Verdict;
use crate::evidence::Evidence;
use crate::talk::{IN_ANSWER, IN_NAME, IN_PROMPT, IN_TRANSCRIPT};

/// What no log may have, and what it is a part of.
const WORDS: [(&str, &str); 4] = [
    (IN_TRANSCRIPT, "a transcript"),
    (IN_ANSWER, "an answer"),
    (IN_NAME, "the name of a file"),
    (IN_PROMPT, "a prompt"),
];

/// Whose words a line of a log has.
fn words(line: &str) -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().filter(move |(word, _)| line.contains(word)).map(|(_, whose)| whose)
}

/// Searches every log of a folder; tells in which ones there are words of whom, and how many lines there are.
///
/// # Errors
/// Where a log cannot be read.
pub fn search(folder: &Path) -> anyhow::Result<(Vec<(String, &'static str)>, usize)> {
    let (mut leaks, mut lines) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let log = std::fs::read(&path).with_context(|| path.display().to_string())?;
        for (number, line) in (1..).zip(String::from_utf8_lossy(&log).lines()) {
            lines += 1;
            leaks.extend(words(line).map(|whose| (format!("{}:{number}", path.display()), whose)));
        }
    }
    Ok((leaks, lines))
}

/// No transcript, prompt, answer or name of a file in any log.
pub fn no_log_has_a_word_of_a_document(evidence: &Evidence) -> Verdict {
    let broken = evidence.leaks.iter().map(|(place, whose)| format!("{place} has words of {whose}"));
    Verdict::new("no log has a word of a document", evidence.lines, broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_document_in_a_log_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w1-1.log"), "INFO fine\nDEBUG body=zqt-accepted-0 zqa-\n").unwrap();
        let (leaks, lines) = search(folder.path()).unwrap();
        assert_eq!(lines, 2);
        let verdict = no_log_has_a_word_of_a_document(&Evidence { leaks, lines, ..Evidence::default() });
        assert_eq!(verdict.broken.len(), 2);
        assert!(verdict.broken[0].ends_with("w1-1.log:2 has words of a transcript"), "{:?}", verdict.broken);
    }
}
