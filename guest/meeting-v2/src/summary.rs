//! The summary line: as many whole sentences of the overview as fit, or the start of the first one.

use std::iter;

/// The schema's limit for the line.
const MAX_CHARS: usize = 160;

/// Returns the line for a tidied overview.
pub(crate) fn summary_line(overview: &str) -> String {
    let mut end = 0;
    for at in sentence_ends(overview) {
        if overview[..at].chars().count() > MAX_CHARS {
            break;
        }
        end = at;
    }
    match end {
        0 => truncate(overview),
        end => overview[..end].trim_end().to_owned(),
    }
}

/// Returns the byte offsets behind each sentence: behind its mark if a space follows, and at the end of the text.
fn sentence_ends(text: &str) -> impl Iterator<Item = usize> + '_ {
    let marks =
        text.char_indices().filter(|(_, c)| matches!(c, '.' | '!' | '?' | '…')).map(|(at, c)| at + c.len_utf8());
    marks.filter(|at| text[*at..].starts_with(' ')).chain(iter::once(text.len()))
}

fn truncate(text: &str) -> String {
    // One character is left for the ellipsis.
    let Some((limit, _)) = text.char_indices().nth(MAX_CHARS - 1) else {
        return text.to_owned();
    };
    let head = &text[..limit];
    let head =
        if text[limit..].starts_with(' ') { head } else { head.rsplit_once(' ').map_or(head, |(words, _)| words) };
    format!("{}…", head.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '-' | '–' | '—')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_CHARS, summary_line};
    use crate::tidy;

    #[test]
    fn a_short_overview_is_its_own_summary() {
        assert_eq!(summary_line("We ship on Friday."), "We ship on Friday.");
        assert_eq!(summary_line("no mark at the end"), "no mark at the end");
    }

    #[test]
    fn whole_sentences_are_kept_while_they_fit() {
        let overview = format!("One thing. Version 1.5 ships. {}.", "long ".repeat(60).trim());
        assert_eq!(summary_line(&overview), "One thing. Version 1.5 ships.");
    }

    #[test]
    fn a_long_sentence_is_cut_between_words() {
        let cut = summary_line(&"слово, ".repeat(40));
        assert!(cut.ends_with("слово…"), "{cut}");
        assert!(cut.chars().count() <= MAX_CHARS);
        assert_eq!(summary_line(&"x".repeat(500)).chars().count(), MAX_CHARS);
    }

    proptest! {
        #[test]
        fn the_summary_is_one_line_of_limited_length(raw in "[a-zа-я .!?…\n-]{1,400}") {
            let overview = tidy::text(&raw);
            let line = summary_line(&overview);
            prop_assert!(line.chars().count() <= MAX_CHARS);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(line.is_empty(), overview.is_empty());
        }
    }
}
