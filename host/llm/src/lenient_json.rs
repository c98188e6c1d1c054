//! Reads a JSON body, however badly it was written: a paid answer must not be lost for a field that nothing needs.

use std::borrow::Cow;

use serde_json::{Map, Value, value::RawValue};

use crate::members::Members;

/// JSON allows readers to ignore a byte-order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// An answer stands at most this deep. Deeper values are read as a whole, or not at all.
const READ_DEPTH: usize = 8;

/// Returns the first JSON value of a body. What follows it is not read. A byte that is no UTF-8 and half a surrogate pair
/// become U+FFFD, and a value that is too deep or out of range becomes null.
pub(crate) fn parse(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let first = serde_json::Deserializer::from_str(&text).into_iter::<Value>().next()?;
    first.ok().or_else(|| {
        // A raw value has no depth, no range and no surrogates.
        let raw = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>().next()?.ok()?;
        Some(read(raw.get(), READ_DEPTH))
    })
}

fn read(raw: &str, depth: usize) -> Value {
    let deeper = depth.checked_sub(1);
    match (raw.as_bytes().first(), deeper) {
        (Some(b'{'), Some(depth)) => {
            let members =
                serde_json::from_str::<Members<'_, &RawValue>>(raw).map_or_else(|_| Vec::new(), |members| members.0);
            let read_member =
                |(name, value): (&RawValue, &RawValue)| string(name.get()).map(|name| (name, read(value.get(), depth)));
            Value::Object(members.into_iter().filter_map(read_member).collect::<Map<_, _>>())
        }
        (Some(b'['), Some(depth)) => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
            items.into_iter().map(|item| read(item.get(), depth)).collect()
        }
        (Some(b'"'), _) => string(raw).map_or(Value::Null, Value::String),
        _ => serde_json::from_str(raw).unwrap_or_default(),
    }
}

fn string(raw: &str) -> Option<String> {
    serde_json::from_str(raw).or_else(|_| serde_json::from_str(&with_whole_pairs(raw))).ok()
}

/// Replaces each half of a surrogate pair by the escape of U+FFFD.
fn with_whole_pairs(raw: &str) -> Cow<'_, str> {
    let mut mended = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let length = match unit(escape) {
            Some(0xd800..=0xdbff) if matches!(escape.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(r"\ufffd");
                rest = &escape[6..];
                continue;
            }
            Some(_) => 6,
            // Another escape has one letter; what is no escape stays, and is no JSON.
            None => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        mended.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    mended.push_str(rest);
    Cow::Owned(mended)
}

/// Returns the unit of UTF-16 that an escape at the start of a text writes.
fn unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix(r"\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nothing_needs_makes_no_body_unreadable() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for odd in [deep.as_str(), "1e999", r#""\ud800""#, "null"] {
            let body = format!(r#"{{"a":{{"b":["text",{odd}]}},"c":{odd}}}"#);
            let value = parse(body.as_bytes()).unwrap();
            assert_eq!(value["a"]["b"][0], "text");
        }
    }

    #[test]
    fn letters_that_broke_become_the_replacement_character() {
        assert_eq!(parse(b"{\"a\":\"x\xd0y\"}").unwrap(), json!({ "a": "x\u{fffd}y" }));
        for (written, read) in [
            (r"x\ud83dy", "x\u{fffd}y"),
            (r"\ude00", "\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\ud83d\n\\ud83d", "\u{fffd}\n\\ud83d"),
        ] {
            assert_eq!(parse(format!(r#"["{written}"]"#).as_bytes()).unwrap(), json!([read]), "{written}");
        }
    }

    #[test]
    fn the_first_value_counts() {
        assert_eq!(parse(b"\xef\xbb\xbf {\"a\":1}\n{\"debug\":1}").unwrap(), json!({ "a": 1 }));
        assert_eq!(parse(b"{\"a\":1} trailing").unwrap(), json!({ "a": 1 }));
    }

    #[test]
    fn what_is_no_json_is_none() {
        let utf16: Vec<u8> = r#"{"a":1}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for body in [&b""[..], b"<html>", b"{\"a\":", b"data: {}", &utf16] {
            assert_eq!(parse(body), None, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn sound_json_is_read_as_it_is(text in "\\PC{0,40}", number in any::<i64>()) {
            let value = json!({ "a": [{ "b": text, "c": number }], "d": null });
            prop_assert_eq!(read(&value.to_string(), READ_DEPTH), value.clone());
            prop_assert_eq!(parse(value.to_string().as_bytes()), Some(value));
        }
    }
}
