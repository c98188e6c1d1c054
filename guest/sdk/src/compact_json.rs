//! Writes compact JSON: the bytes of `serde_json::to_string`, in a fraction of its time.
//!
//! Most of a report is text that needs no escape. `serde_json` checks it byte by byte; this module checks it in blocks,
//! with a few SIMD instructions each, and copies it in long runs.

use std::fmt::Write as _;

use serde_json::Value;

/// The width of a WASM SIMD register.
const BLOCK_BYTES: usize = 16;

/// Returns the compact JSON text of a document. `capacity` is its expected length in bytes.
pub(crate) fn write(document: &Value, capacity: usize) -> String {
    let mut out = String::with_capacity(capacity);
    append(document, &mut out);
    out
}

fn append(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        // Writing to a string cannot fail.
        Value::Number(number) => drop(write!(out, "{number}")),
        Value::String(text) => append_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                append(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (name, value)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                append_string(name, out);
                out.push(':');
                append(value, out);
            }
            out.push('}');
        }
    }
}

fn append_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // Every byte that needs an escape is ASCII, so the text can be cut there.
    while let Some(at) = first_escaped(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        escape(rest.as_bytes()[at], out);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Returns the index of the first byte that needs an escape.
fn first_escaped(bytes: &[u8]) -> Option<usize> {
    let blocks = bytes.chunks_exact(BLOCK_BYTES);
    let rest = blocks.remainder();
    for (index, block) in blocks.enumerate() {
        let found = <&[u8; BLOCK_BYTES]>::try_from(block).map_or(0, escaped_in);
        if found != 0 {
            return Some(index * BLOCK_BYTES + found.trailing_zeros() as usize);
        }
    }
    let at = rest.iter().position(|byte| needs_escape(*byte))?;
    Some(bytes.len() - rest.len() + at)
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Returns one bit per byte, set when the byte needs an escape. The first byte has the lowest bit.
#[cfg(target_feature = "simd128")]
fn escaped_in(block: &[u8; BLOCK_BYTES]) -> u16 {
    use std::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_or};

    // The compiler makes one load of it.
    let block = u128::from_le_bytes(*block);
    let block = u64x2(block as u64, (block >> 64) as u64);
    let quotes = v128_or(u8x16_eq(block, u8x16_splat(b'"')), u8x16_eq(block, u8x16_splat(b'\\')));
    u8x16_bitmask(v128_or(quotes, u8x16_lt(block, u8x16_splat(0x20))))
}

/// Returns one bit per byte, set when the byte needs an escape. The first byte has the lowest bit.
#[cfg(not(target_feature = "simd128"))]
fn escaped_in(block: &[u8; BLOCK_BYTES]) -> u16 {
    block.iter().rev().fold(0, |found, byte| found << 1 | u16::from(needs_escape(*byte)))
}

fn escape(byte: u8, out: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x08 => out.push_str("\\b"),
        b'\t' => out.push_str("\\t"),
        b'\n' => out.push_str("\\n"),
        0x0c => out.push_str("\\f"),
        b'\r' => out.push_str("\\r"),
        other => {
            out.push_str("\\u00");
            out.push(HEX[usize::from(other >> 4)]);
            out.push(HEX[usize::from(other & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::write;

    fn document() -> impl Strategy<Value = Value> {
        // Long texts with few escapes, and short texts of any characters.
        let string = prop_oneof!["[a-zä\"\\\\\n]{0,60}", ".{0,8}", "\\PC{0,40}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            string.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, move |inner| {
            let members = prop::collection::btree_map(string.clone(), inner.clone(), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_is_written_as_serde_json_writes_it(document in document()) {
            prop_assert_eq!(write(&document, 0), serde_json::to_string(&document).expect("has a JSON form"));
        }
    }

    #[test]
    fn control_characters_are_escaped_as_serde_json_does_it() {
        let all: String = (0..0x80_u8).map(char::from).collect();
        let document = json!({all.clone(): all});
        assert_eq!(write(&document, 0), serde_json::to_string(&document).expect("has a JSON form"));
    }

    #[test]
    fn an_escape_is_found_at_every_place_of_a_block() {
        for at in 0..50 {
            let string = format!("{}\"{}", "a".repeat(at), "b".repeat(50 - at));
            assert_eq!(write(&json!(string), 0), serde_json::to_string(&string).expect("has a JSON form"));
        }
    }
}
