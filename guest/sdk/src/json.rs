//! Reading what a model wrote as JSON. Errors say what and where, never the text itself.

use serde::Deserialize;
use serde_json::{Deserializer, Value, error::Category};
use std::fmt;

/// The deepest nesting that is read, in levels of arrays and objects: as deep as the host lets a report be.
pub const MAX_DEPTH: usize = 128;

/// Why a text is no JSON document. Nested deeper than [`MAX_DEPTH`] counts as none.
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

impl std::error::Error for NotJson {}

/// Parses one JSON document; white space and a byte-order mark around it are no fault.
pub fn parse(text: &str) -> Result<Value, NotJson> {
    let text = text.trim_start_matches('\u{feff}');
    match serde_json::from_str(text) {
        // `serde_json` by itself stops at the level that is the deepest one allowed.
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

/// Parses a text whose depth was counted before.
fn parse_unbounded(text: &str) -> serde_json::Result<Value> {
    let mut reader = Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let value = Value::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The deepest nesting of a JSON text, without building anything; the host counts the same way. Of a text that is no JSON
/// the part before its first error is never nested deeper.
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

/// Parses like [`parse`], and looks into a Markdown code fence where the text as a whole is no JSON: models wrap
/// answers in one even when told not to, sometimes with a sentence before it.
///
/// The error is that of the whole text when there is no fence, else that of the fence's content.
pub fn parse_fenced(text: &str) -> Result<Value, NotJson> {
    let whole = parse(text);
    match (whole, fenced(text)) {
        (Err(_), Some(inner)) => parse(inner),
        (whole, _) => whole,
    }
}

/// The content of the first Markdown code fence, without its info string; an unclosed fence reaches to the end.
fn fenced(text: &str) -> Option<&str> {
    let (marker, start) = ["```", "~~~"]
        .into_iter()
        .filter_map(|marker| line_start(text, marker).map(|at| (marker, at)))
        .min_by_key(|(_, at)| *at)?;
    let after = text[start..].trim_start_matches(marker.chars().next()?);
    // An info string ends with its line; a one-line fence has its JSON right here.
    let body = match after.find(['\n', '{', '[']) {
        Some(at) if after[at..].starts_with('\n') => &after[at + 1..],
        Some(at) => &after[at..],
        None => after,
    };
    let body = line_start(body, marker).map_or(body, |end| &body[..end]).trim();
    // A fence that closes on the last line of its content.
    Some(body.strip_suffix(marker).unwrap_or(body).trim())
}

/// Where `marker` is the first thing on a line.
fn line_start(text: &str, marker: &str) -> Option<usize> {
    text.match_indices(marker)
        .map(|(at, _)| at)
        .find(|at| text[..*at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, parse, parse_fenced};
    use serde_json::json;

    #[test]
    fn white_space_and_a_byte_order_mark_are_no_fault() {
        assert_eq!(parse("\u{feff} {\"a\": 1}\n"), Ok(json!({"a": 1})));
    }

    #[test]
    fn an_error_names_the_place_and_no_text() {
        let error = parse("{\"secret\": hunter2}").unwrap_err().to_string();
        assert!(error.starts_with("invalid JSON at line 1"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("secret"), "{error}");
        assert_eq!(parse("  ").unwrap_err().to_string(), "nothing but white space at line 1 column 2");
        assert!(parse("{\"a\": [1").unwrap_err().to_string().starts_with("unexpected end"));
        assert!(parse("{} trailing").is_err());
    }

    #[test]
    fn a_document_nested_over_128_levels_is_refused_without_a_crash() {
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
    fn the_deepest_level_is_read_as_strictly_as_the_others() {
        let around = |inner: &str| format!("{}{inner}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(parse(&around(r#""[[ \" [[", {"#)).is_err(), "one level more, never closed");
        assert!(parse(&around(r#""[[ \" [[", 7"#)).is_ok(), "brackets in a string are no level");
        assert!(parse(&around("x")).unwrap_err().to_string().starts_with("invalid JSON"));
        assert!(parse(&(around("7") + " 7")).unwrap_err().to_string().starts_with("invalid JSON"));
        assert!(parse(&"[".repeat(MAX_DEPTH)).unwrap_err().to_string().starts_with("unexpected end"));
    }

    #[test]
    fn a_fence_is_removed_wherever_a_model_puts_it() {
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
