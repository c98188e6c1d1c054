//! Parses the JSON that a model wrote. Errors name the fault and its place, never the text itself.

use std::{error::Error, fmt};

use serde::Deserialize;
use serde_json::{Deserializer, Value, error::Category};

/// Limits the nesting of a document, in levels of arrays and objects. The host has the same default for reports.
pub const MAX_DEPTH: usize = 128;

/// Says why a text is not one JSON document, with line and column. A document deeper than [`MAX_DEPTH`] is refused too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson {
    reason: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.reason, self.line, self.column)
    }
}

impl Error for NotJson {}

/// Parses one JSON document; ignores white space around it and a byte-order mark before it.
///
/// # Errors
///
/// [`NotJson`] when the text is not exactly one JSON document, or nests deeper than [`MAX_DEPTH`].
pub fn parse(text: &str) -> Result<Value, NotJson> {
    let text = text.trim_start_matches('\u{feff}');
    match serde_json::from_str(text) {
        // `serde_json` refuses level 128, which is allowed here.
        Err(error) if is_too_deep(&error) && depth(text) <= MAX_DEPTH => parse_unbounded(text),
        read => read,
    }
    .map_err(|error| NotJson {
        reason: match error.classify() {
            Category::Eof if text.trim().is_empty() => "nothing but white space",
            Category::Eof => "unexpected end",
            _ if is_too_deep(&error) => "nested more than 128 levels deep",
            _ => "invalid JSON",
        },
        line: error.line(),
        column: error.column(),
    })
}

fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit")
}

/// Parses without a depth limit; the caller has checked the depth.
fn parse_unbounded(text: &str) -> serde_json::Result<Value> {
    let mut reader = Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let value = Value::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Returns the deepest nesting of a JSON text; the host counts the same way. In a text that is not JSON, the part before
/// the first error is never deeper than the result.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Parses like [`parse`]; when the whole text is not JSON, parses the content of its first Markdown code fence.
///
/// Models wrap answers in a fence even against the prompt, sometimes with a sentence before it.
///
/// # Errors
///
/// [`NotJson`] about the fence's content, or about the whole text when there is no fence.
pub fn parse_fenced(text: &str) -> Result<Value, NotJson> {
    let whole = parse(text);
    match (whole, fenced(text)) {
        (Err(_), Some(inner)) => parse(inner),
        (whole, _) => whole,
    }
}

/// Returns the content of the first Markdown code fence without its info string; an unclosed fence ends with the text.
fn fenced(text: &str) -> Option<&str> {
    let (marker, start) = ["```", "~~~"]
        .into_iter()
        .filter_map(|marker| line_start(text, marker).map(|at| (marker, at)))
        .min_by_key(|(_, at)| *at)?;
    let after = text[start..].trim_start_matches(marker.chars().next()?);
    // An info string ends with its line, but a one-line fence has its JSON on the same line.
    let body = match after.find(['\n', '{', '[']) {
        Some(at) if after[at..].starts_with('\n') => &after[at + 1..],
        Some(at) => &after[at..],
        None => after,
    };
    let body = line_start(body, marker).map_or(body, |end| &body[..end]).trim();
    // The closing fence may follow the content on the same line.
    Some(body.strip_suffix(marker).unwrap_or(body).trim())
}

/// Returns the index of the first `marker` that begins a line.
fn line_start(text: &str, marker: &str) -> Option<usize> {
    text.match_indices(marker)
        .map(|(at, _)| at)
        .find(|at| text[..*at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{MAX_DEPTH, parse, parse_fenced};

    #[test]
    fn white_space_and_a_byte_order_mark_are_ignored() {
        assert_eq!(parse("\u{feff} {\"a\": 1}\n"), Ok(json!({"a": 1})));
    }

    #[test]
    fn an_error_names_the_place_but_quotes_nothing() {
        let error = parse("{\"secret\": hunter2}").unwrap_err().to_string();
        assert!(error.starts_with("invalid JSON at line 1"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("secret"), "{error}");
        assert_eq!(parse("  ").unwrap_err().to_string(), "nothing but white space at line 1 column 2");
        assert!(parse("{\"a\": [1").unwrap_err().to_string().starts_with("unexpected end"));
        assert!(parse("{} trailing").is_err());
    }

    #[test]
    fn a_document_over_128_levels_deep_is_refused() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for levels in [1, 127, MAX_DEPTH] {
            assert!(parse(&deep(levels)).is_ok(), "{levels}");
        }
        for levels in [MAX_DEPTH + 1, 1_000_000] {
            let error = parse(&deep(levels)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("nested more than {MAX_DEPTH} levels deep")), "{error}");
        }
    }

    #[test]
    fn the_deepest_level_is_parsed_as_strictly_as_the_others() {
        let around = |inner: &str| format!("{}{inner}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(parse(&around(r#""[[ \" [[", {"#)).is_err(), "one level more, never closed");
        assert!(parse(&around(r#""[[ \" [[", 7"#)).is_ok(), "brackets in a string do not count");
        assert!(parse(&around("x")).unwrap_err().to_string().starts_with("invalid JSON"));
        assert!(parse(&(around("7") + " 7")).unwrap_err().to_string().starts_with("invalid JSON"));
        assert!(parse(&"[".repeat(MAX_DEPTH)).unwrap_err().to_string().starts_with("unexpected end"));
    }

    #[test]
    fn a_fence_is_removed_in_every_usual_form() {
        let wanted = Ok(json!({"a": "``` inside"}));
        for text in [
            "```json\n{\"a\": \"``` inside\"}\n```",
            "```\n{\"a\": \"``` inside\"}\n```\n",
            "  ~~~json\r\n{\"a\": \"``` inside\"}\r\n~~~",
            "Here is the report:\n\n```json\n{\"a\": \"``` inside\"}\n```\nAnything else?",
            "```json\n{\"a\": \"``` inside\"}",
            "{\"a\": \"``` inside\"}",
        ] {
            assert_eq!(parse_fenced(text), wanted, "{text}");
        }
        assert_eq!(parse_fenced("```json {\"a\": 1} ```"), Ok(json!({"a": 1})));
        assert!(parse_fenced("no fence, no JSON").is_err());
        assert!(parse_fenced("```json\nnot JSON\n```").is_err());
    }
}
