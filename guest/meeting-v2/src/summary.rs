//! One bounded line out of the overview: as many whole sentences as fit, or a cut first one.

/// What the schema allows, in characters.
const MAX_CHARS: usize = 160;

/// The line; `overview` is tidied text.
pub(crate) fn line(overview: &str) -> String {
    let mut end = 0;
    for at in sentence_ends(overview) {
        if overview[..at].chars().count() > MAX_CHARS {
            break;
        }
        end = at;
    }
    match end {
        0 => cut(overview),
        end => overview[..end].trim_end().to_owned(),
    }
}

/// Byte offsets behind each sentence: behind its mark where white space follows, and at the end of the text.
fn sentence_ends(text: &str) -> impl Iterator<Item = usize> + '_ {
    let marks =
        text.char_indices().filter(|(_, c)| matches!(c, '.' | '!' | '?' | '…')).map(|(at, c)| at + c.len_utf8());
    marks.filter(|at| text[*at..].starts_with(' ')).chain(std::iter::once(text.len()))
}

fn cut(text: &str) -> String {
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
    use super::{MAX_CHARS, line};
    use proptest::prelude::*;

    #[test]
    fn a_short_overview_is_its_own_summary() {
        assert_eq!(line("We ship on Friday."), "We ship on Friday.");
        assert_eq!(line("no mark at the end"), "no mark at the end");
    }

    #[test]
    fn whole_sentences_are_kept_while_they_fit() {
        let overview = format!("One thing. Version 1.5 ships. {}.", "long ".repeat(60).trim());
        assert_eq!(line(&overview), "One thing. Version 1.5 ships.");
    }

    #[test]
    fn a_long_sentence_is_cut_between_words() {
        let cut = line(&"слово, ".repeat(40));
        assert!(cut.ends_with("слово…"), "{cut}");
        assert!(cut.chars().count() <= MAX_CHARS);
        assert_eq!(line(&"x".repeat(500)).chars().count(), MAX_CHARS);
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_one_line(raw in "[a-zа-я .!?…\n-]{1,400}") {
            let overview = crate::tidy::text(&raw);
            let line = line(&overview);
            prop_assert!(line.chars().count() <= MAX_CHARS);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(line.is_empty(), overview.is_empty());
        }
    }
}
