//! Takes quoted text out of an error: providers quote the request.

/// Pairs of marks around quoted text.
const MARKS: &[(char, char)] =
    &[('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('«', '»'), ('「', '」')];

/// Returns the text without what stands in quotation marks. An apostrophe within a word is no mark, and a mark that is not
/// closed quotes nothing.
pub(crate) fn unquoted(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let quote = MARKS.iter().find(|(open, _)| *open == first && !in_word(kept.chars().next_back()));
        if let Some(end) = quote.and_then(|(_, close)| end_of_quote(after, *close)) {
            kept.push(' ');
            rest = &after[end..];
        } else {
            kept.push(first);
            rest = after;
        }
    }
    kept
}

fn in_word(before: Option<char>) -> bool {
    before.is_some_and(char::is_alphanumeric)
}

/// Returns the place behind the closing mark: one that no letter follows.
fn end_of_quote(text: &str, close: char) -> Option<usize> {
    text.char_indices().filter(|(_, mark)| *mark == close).map(|(at, _)| at + close.len_utf8()).find(|end| {
        let next = text[*end..].chars().next();
        !next.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_taken_out() {
        for text in [
            r#"invalid value: "our credit balance" here"#,
            "invalid value: 'our credit balance' here",
            "invalid value: 'Ana's credit balance' here",
            "invalid value: `our credit balance` here",
            "invalid value: “our credit balance” here",
        ] {
            assert_eq!(unquoted(text), "invalid value:   here", "{text}");
        }
    }

    #[test]
    fn an_apostrophe_or_a_mark_without_its_pair_quotes_nothing() {
        for text in [
            "you've used the team's credits, and that's it",
            "this model's maximum context length is 8 tokens; the user's prompt",
            "an open 'quote",
            "5\" of rain",
            "",
        ] {
            assert_eq!(unquoted(text), text);
        }
    }
}
