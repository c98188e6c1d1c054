//! Documents with many values.
//!
//! `jsonschema` builds every error before it returns the first one, at about 270 bytes each. A megabyte of wrong items
//! would need more memory than a guest has. For a large document only the first error is collected.

use serde_json::Value;

/// Limits the values of a document whose errors are all collected. Each value may have dozens of errors at worst.
const MAX_VALUES: usize = 2_000;

/// Keywords with one error per item or property, and references, which may lead to such a keyword.
const REPEATING_KEYWORDS: &[&str] = &[
    "items",
    "patternProperties",
    "propertyNames",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$ref",
    "$dynamicRef",
];

/// Returns whether a document has more than [`MAX_VALUES`] values.
pub(crate) fn is_large(document: &Value) -> bool {
    let mut left = MAX_VALUES;
    !fits(document, &mut left)
}

fn fits(value: &Value, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(1) else {
        return false;
    };
    *left = rest;
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, left)),
        Value::Object(map) => map.values().all(|value| fits(value, left)),
        _ => true,
    }
}

/// Returns whether one error is small for every document: an error of `anyOf` or `oneOf` holds all errors of its branches.
pub(crate) fn errors_are_small(schema: &Value) -> bool {
    is_small(schema, false)
}

fn is_small(schema: &Value, in_branch: bool) -> bool {
    match schema {
        Value::Object(map) => map.iter().all(|(keyword, value)| {
            // A boolean `additionalProperties` has one error for all properties.
            let closed = keyword == "additionalProperties" && value.is_boolean();
            let repeating = in_branch && !closed && REPEATING_KEYWORDS.contains(&keyword.as_str());
            !repeating && is_small(value, in_branch || keyword == "anyOf" || keyword == "oneOf")
        }),
        Value::Array(schemas) => schemas.iter().all(|schema| is_small(schema, in_branch)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{MAX_VALUES, errors_are_small, is_large};

    #[test]
    fn every_value_counts_at_any_depth() {
        let list = |len: usize| Value::Array(vec![json!(0); len]);
        assert!(!is_large(&list(MAX_VALUES - 1)));
        assert!(is_large(&list(MAX_VALUES)));
        assert!(is_large(&json!({"a": list(MAX_VALUES / 2), "b": [list(MAX_VALUES / 2)]})));
    }

    #[test]
    fn an_alternative_with_items_has_errors_of_any_size() {
        assert!(errors_are_small(&json!({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}})));
        assert!(errors_are_small(&json!({"anyOf": [{"properties": {"a": {}}, "additionalProperties": false}]})));
        assert!(!errors_are_small(&json!({"properties": {"a": {"anyOf": [{"items": {"type": "string"}}]}}})));
        assert!(!errors_are_small(&json!({"oneOf": [{"allOf": [{"$ref": "#"}]}]})));
        // `items: false` has one error per item.
        assert!(!errors_are_small(&json!({"oneOf": [{"items": false}]})));
    }
}
