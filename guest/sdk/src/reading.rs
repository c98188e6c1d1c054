//! Finds the one JSON document in what a model wrote around it.
//!
//! Models wrap answers although the prompt forbids it, most of all where the server ignores the schema. The document itself is
//! never guessed: what is cut, ambiguous or no JSON stays rejected, and the schema is checked as strictly as before.

use std::borrow::Cow;

use serde_json::Value;

use crate::json::{self, NotJson};

/// What stood around a document, or in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mending {
    /// A block of the model's reasoning before it.
    ThinkBlock,
    /// A Markdown fence around it.
    Fence,
    /// Sentences around it.
    Prose,
    /// A comma behind the last member of an object or a list.
    TrailingComma,
}

impl Mending {
    /// Returns the code of the note.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ThinkBlock => "read-think-block",
            Self::Fence => "read-fence",
            Self::Prose => "read-prose",
            Self::TrailingComma => "read-trailing-comma",
        }
    }

    /// Returns the message of the note.
    pub const fn message(self) -> &'static str {
        match self {
            Self::ThinkBlock => "the answer began with a block of reasoning, which was taken off",
            Self::Fence => "the document stood in a Markdown fence, which was taken off",
            Self::Prose => "the document stood among sentences, which were taken off",
            Self::TrailingComma => "a comma behind the last member was taken out",
        }
    }
}

/// Tags of reasoning that servers leave in the answer.
const THINK_TAGS: [(&str, &str); 3] =
    [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>")];

/// Parses the one JSON document of an answer, and says what stood around it.
///
/// # Errors
///
/// [`NotJson`] about the whole text where it has no document, two of them, or one that is cut.
pub fn read(text: &str) -> Result<(Value, Vec<Mending>), NotJson> {
    let whole = match json::parse(text) {
        Ok(document) => return Ok((document, Vec::new())),
        Err(error) => error,
    };
    let mut mendings = Vec::new();
    let mut rest = text.trim_start_matches('\u{feff}').trim();
    if let Some((open, close)) = THINK_TAGS.iter().find(|(open, _)| rest.starts_with(open)) {
        // One that is not closed holds the whole text: what looks like a document is a part of the reasoning.
        let Some((_, after)) = rest[open.len()..].split_once(close) else { return Err(whole) };
        mendings.push(Mending::ThinkBlock);
        rest = after.trim_start();
    }
    if let Some(document) = parse_or_mend(rest, &mut mendings) {
        return Ok((document, mendings));
    }
    let (inner, mending) = match fences(rest)[..] {
        [inner] => (inner, Mending::Fence),
        [] => match only_object(rest) {
            Some(inner) => (inner, Mending::Prose),
            None => return Err(whole),
        },
        _ => return Err(whole),
    };
    mendings.push(mending);
    parse_or_mend(inner, &mut mendings).map(|document| (document, mendings)).ok_or(whole)
}

fn parse_or_mend(text: &str, mendings: &mut Vec<Mending>) -> Option<Value> {
    if let Ok(document) = json::parse(text) {
        return Some(document);
    }
    let Cow::Owned(mended) = without_trailing_commas(text) else { return None };
    let document = json::parse(&mended).ok()?;
    mendings.push(Mending::TrailingComma);
    Some(document)
}

/// Returns the contents of the closed Markdown fences whose first line begins like a document.
fn fences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = fence_at_line_start(rest) {
        let after = &rest[start + FENCE.len()..];
        let Some(end) = after.find(FENCE) else { break };
        let body = after[..end].trim_start_matches(|c: char| c.is_ascii_alphanumeric()).trim();
        if body.starts_with(['{', '[']) {
            found.push(body);
        }
        rest = &after[end + FENCE.len()..];
    }
    found
}

const FENCE: &str = "```";

fn fence_at_line_start(text: &str) -> Option<usize> {
    let starts = text.match_indices(FENCE).map(|(at, _)| at);
    starts.into_iter().find(|at| text[..*at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty()))
}

/// Returns the only object of a text that parses. `None` where there are two, and where one is not closed.
fn only_object(text: &str) -> Option<&str> {
    let mut found = None;
    let mut from = 0;
    while let Some(at) = text[from..].find('{') {
        let start = from + at;
        let end = end_of_object(&text[start..])?;
        let object = &text[start..start + end];
        let is_document = json::parse(object).is_ok() || json::parse(&without_trailing_commas(object)).is_ok();
        if is_document && found.replace(object).is_some() {
            return None;
        }
        from = start + end;
    }
    found
}

/// Returns where the object ends that begins a text.
fn end_of_object(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Takes out each comma that only white space parts from the end of its object or list.
fn without_trailing_commas(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut kept = 0;
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' if !in_string && is_trailing(&text[..at], &text[at + 1..]) => {
                mended.push_str(&text[kept..at]);
                kept = at + 1;
            }
            _ => {}
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[kept..]);
    Cow::Owned(mended)
}

fn is_trailing(before: &str, after: &str) -> bool {
    after.trim_start().starts_with(['}', ']']) && !before.trim_end().ends_with(['{', '[', ',', ':'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{Mending::*, *};

    #[test]
    fn the_document_is_found_in_what_models_write_around_it() {
        for (text, mendings) in [
            (r#"{"a": 1}"#, &[][..]),
            ("```json\n{\"a\": 1}\n```", &[Fence]),
            ("Here it is:\n```\n{\"a\": 1}\n```\nAnything else?", &[Fence]),
            ("Run this:\n```sh\nls\n```\nThen:\n```json\n{\"a\": 1}\n```", &[Fence]),
            ("<think>\nThey want {\"b\": 2}.\n</think>\n\n{\"a\": 1}", &[ThinkBlock]),
            ("<think>Hm.</think>\n```json\n{\"a\": 1,}\n```", &[ThinkBlock, Fence, TrailingComma]),
            ("{\"a\": 1}\n\nLet me know if you need more.", &[Prose]),
            ("Sure! {\"a\": 1} That is all of {title}.", &[Prose]),
            ("{\"a\": 1,\n}", &[TrailingComma]),
            ("\u{feff}Sure:\n{\"a\": 1}", &[Prose]),
        ] {
            assert_eq!(read(text), Ok((json!({ "a": 1 }), mendings.to_vec())), "{text}");
        }
        assert_eq!(read("{\"a\": [1, \"x,]\",], }").unwrap().0, json!({ "a": [1, "x,]"] }));
    }

    #[test]
    fn what_is_not_one_whole_document_stays_rejected() {
        for text in [
            "",
            "I would fill in {title} and {summary}, but nothing was said.",
            "{\"a\": 1} {\"a\": 2}",
            "First {\"a\": 1}, or better {\"a\": 2}.",
            "```json\n{\"a\": 1}\n```\nor\n```json\n{\"a\": 2}\n```",
            "{\"a\": {\"b\": 1}, \"c\": ",
            "Sure: {\"a\": {\"b\": 1}, \"c\": ",
            "```json\n{\"a\": {\"b\": 1}, \"c\": ",
            "<think>They want {\"a\": 1}",
            "{\"a\": 1,, }",
            "{,}",
            "{a: 1}",
            "{'a': 1}",
            "[1, 2] and prose",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_is_about_the_whole_text_and_quotes_nothing() {
        let error = read("Sure: {\"secret\": hunter2}").unwrap_err().to_string();
        assert_eq!(error, "invalid JSON at line 1 column 1");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_rejected(text in "[a-z{}\\[\\]\",:`<>/\\\\\n ]{0,60}") {
            if let Ok((document, mendings)) = read(&text) {
                prop_assert!(!mendings.is_empty() || json::parse(&text) == Ok(document));
            }
        }

        #[test]
        fn a_document_among_words_is_found_whole(words in "[a-z .\n]{0,20}", value in "[a-z{}\\[\\],\"]{0,10}", fenced in any::<bool>()) {
            let document = json!({ "a": [value] });
            let text = if fenced { format!("{words}\n```json\n{document}\n```\n{words}") } else { format!("{words}{document}{words}") };
            prop_assert_eq!(read(&text).map(|(document, _)| document), Ok(document));
        }
    }
}
