//! Questions about the keywords of a canonical schema.

use serde_json::{Map, Value};

/// Returns whether a schema allows values of a type.
pub(super) fn allows(schema: &Map<String, Value>, kind: &str) -> bool {
    match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|k| k == kind),
        Some(only) => only == kind,
    }
}

pub(super) fn is_object(schema: &Map<String, Value>) -> bool {
    schema.contains_key("properties") || (schema.contains_key("type") && allows(schema, "object"))
}

pub(super) fn is_read_only(schema: &Value) -> bool {
    schema.get("readOnly") == Some(&Value::Bool(true))
}

pub(super) fn is_required(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|n| n == name))
}
