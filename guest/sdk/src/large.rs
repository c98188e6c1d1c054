//! Documents of many values. `jsonschema` builds every error before it gives out the first one, at some 270 bytes each, so a
//! megabyte of wrong items needs more memory than a guest has. Of a large document only the first error is looked for.

use serde_json::Value;

/// A document of more values than this is large. Each may break the schema in some dozens of ways, at its worst.
pub(crate) const MAX_VALUES: usize = 2_000;

/// Keywords that can break once for each item or property of a value, and references, which may lead to such a one.
const MANIFOLD: &[&str] = &[
    "items",
    "patternProperties",
    "propertyNames",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$ref",
    "$dynamicRef",
];

/// Whether a document has more than [`MAX_VALUES`] values.
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

/// Whether one error costs little whatever the document is: an error of `anyOf` or `oneOf` carries all those of each branch.
pub(crate) fn errors_are_small(schema: &Value) -> bool {
    small(schema, false)
}

fn small(schema: &Value, in_branch: bool) -> bool {
    match schema {
        Value::Object(map) => map.iter().all(|(keyword, value)| {
            // One error names all properties that are one too many.
            let closed = keyword == "additionalProperties" && value.is_boolean();
            let manifold = in_branch && !closed && MANIFOLD.contains(&keyword.as_str());
            !manifold && small(value, in_branch || keyword == "anyOf" || keyword == "oneOf")
        }),
        Value::Array(schemas) => schemas.iter().all(|schema| small(schema, in_branch)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_VALUES, errors_are_small, is_large};
    use serde_json::{Value, json};

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
        // Such a `false` breaks once for each item.
        assert!(!errors_are_small(&json!({"oneOf": [{"items": false}]})));
    }
}
