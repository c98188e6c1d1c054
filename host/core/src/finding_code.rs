//! Codes of findings that may leave the run folder: keywords of JSON Schema, and the codes that a guest's schema declares.
//!
//! A guest may write words of a document into a code. A schema is written before any document is read.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The keyword at the root of a schema that declares a guest's own codes. No model sees it.
pub const CODES_KEYWORD: &str = "x-assay-codes";
/// Codes that one schema may declare.
pub const MAX_CODES: usize = 64;
/// Longest code, in bytes.
const MAX_CODE_BYTES: usize = 64;

/// The keywords of JSON Schema 2020-12 and of the drafts before it, and the name that validators give to the schema `false`.
const KEYWORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "falseSchema",
    "format",
    "id",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
];

/// Why a schema's list of codes is refused. Its author reads it. It has no word of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodesError {
    #[error("{CODES_KEYWORD}: expected a list of codes")]
    NoList,
    #[error("{CODES_KEYWORD}: {0} codes, over {MAX_CODES}")]
    TooMany(usize),
    /// The entry with this number, from 1.
    #[error(
        "{CODES_KEYWORD}: entry {0} is no code: expected a-z, 0-9, `.`, `_` and `-`, at most {MAX_CODE_BYTES} bytes"
    )]
    NoCode(usize),
}

/// Returns whether a code is a keyword of JSON Schema.
pub fn is_keyword(code: &str) -> bool {
    KEYWORDS.contains(&code)
}

/// Returns the codes that a schema declares at its root.
///
/// # Errors
/// [`CodesError`].
pub fn declared_codes(schema: &Map<String, Value>) -> Result<BTreeSet<String>, CodesError> {
    let Some(declared) = schema.get(CODES_KEYWORD) else { return Ok(BTreeSet::new()) };
    let entries = declared.as_array().ok_or(CodesError::NoList)?;
    if entries.len() > MAX_CODES {
        return Err(CodesError::TooMany(entries.len()));
    }
    let code = |(entry, number): (&Value, usize)| {
        let code = entry.as_str().filter(|code| is_own_code(code));
        code.map(str::to_owned).ok_or(CodesError::NoCode(number))
    };
    entries.iter().zip(1..).map(code).collect()
}

/// Returns whether a text has the form of a guest's own code, as `wit/report.wit` says.
fn is_own_code(text: &str) -> bool {
    let is_code_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_CODE_BYTES).contains(&text.len()) && text.bytes().all(is_code_byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared(codes: &Value) -> Result<Vec<String>, CodesError> {
        let schema = json!({"type": "object", CODES_KEYWORD: codes});
        declared_codes(schema.as_object().unwrap()).map(|codes| codes.into_iter().collect())
    }

    #[test]
    fn only_words_of_json_schema_are_keywords() {
        for keyword in ["required", "minLength", "$ref", "unevaluatedProperties", "if", "definitions"] {
            assert!(is_keyword(keyword), "{keyword}");
        }
        for word in ["", "Required", "minlength", "hunter2", "more", "x-assay-codes", "requiredBob"] {
            assert!(!is_keyword(word), "{word}");
        }
    }

    #[test]
    fn a_schema_declares_up_to_64_codes_at_its_root() {
        assert_eq!(declared_codes(&Map::new()), Ok(BTreeSet::new()));
        assert_eq!(declared(&json!([])), Ok(vec![]));
        let longest = "x".repeat(MAX_CODE_BYTES);
        let codes = json!(["quote-not-found", "a.b_c-1", longest]);
        assert_eq!(declared(&codes).unwrap(), ["a.b_c-1", "quote-not-found", &longest]);
        let numbered = |count: usize| (0..count).map(|n| format!("rule-{n}")).collect::<Value>();
        assert_eq!(declared(&numbered(64)).unwrap().len(), 64);
        assert_eq!(declared(&numbered(65)), Err(CodesError::TooMany(65)));
        let nested = json!({"properties": {CODES_KEYWORD: {"type": "string"}, "a": {CODES_KEYWORD: ["deep"]}}});
        assert_eq!(declared_codes(nested.as_object().unwrap()), Ok(BTreeSet::new()));
    }

    #[test]
    fn a_list_that_has_another_form_is_refused_with_its_rule() {
        for codes in [json!("more"), json!({}), json!(null), json!(7), json!(true)] {
            assert_eq!(declared(&codes), Err(CodesError::NoList), "{codes}");
        }
        let too_long = "x".repeat(MAX_CODE_BYTES + 1);
        for entry in [json!(7), json!(""), json!("Bob"), json!("two words"), json!("naïve"), json!(too_long), json!([])]
        {
            assert_eq!(declared(&json!(["fine", entry])), Err(CodesError::NoCode(2)), "{entry}");
        }
        assert_eq!(
            CodesError::NoCode(2).to_string(),
            "x-assay-codes: entry 2 is no code: expected a-z, 0-9, `.`, `_` and `-`, at most 64 bytes"
        );
        assert_eq!(CodesError::TooMany(65).to_string(), "x-assay-codes: 65 codes, over 64");
    }
}
