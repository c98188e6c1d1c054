//! No word of a document in any log.

use crate::{evidence::Evidence, invariants::verdict::Verdict};

/// Checks that no log has a word of a transcript, prompt, answer or file name.
pub fn no_log_has_a_word_of_a_document(evidence: &Evidence) -> Verdict {
    let broken = evidence.logs.leaks.iter().map(|(place, whose)| format!("{place} has words of {whose}"));
    Verdict::new("no log has a word of a document", evidence.logs.lines, broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_search::Found;

    #[test]
    fn a_leak_in_a_log_breaks_the_invariant() {
        let leaks = vec![("w1-1.log:2".to_owned(), "a transcript")];
        let logs = Found { leaks, lines: 2, ..Found::default() };
        let verdict = no_log_has_a_word_of_a_document(&Evidence { logs, ..Evidence::default() });
        assert_eq!(verdict.broken, ["w1-1.log:2 has words of a transcript"]);
    }
}
