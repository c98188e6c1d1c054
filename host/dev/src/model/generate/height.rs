//! How deep the smallest instance of a schema is, so that a recursive one can be brought to an end.

use serde_json::Value;

use super::Generator;

/// Taller than anything that ends.
const ENDLESS: usize = 1_000;

/// Nodes looked at before a schema counts as endless.
const HORIZON: usize = 10;

impl Generator<'_> {
    /// The height of the smallest instance, roughly: constraints that contradict each other are not noticed.
    pub(super) fn height(&self, schema: &Value, depth: usize) -> usize {
        let Value::Object(object) = schema else { return if schema == &Value::Bool(false) { ENDLESS } else { 0 } };
        if depth > HORIZON {
            return ENDLESS;
        }
        if object.contains_key("const") || object.contains_key("enum") {
            return 0;
        }
        let mut height = 0;
        for reference in ["$ref", "$dynamicRef"].iter().filter_map(|key| object.get(*key).and_then(Value::as_str)) {
            height = height.max(self.schema.resolve(reference).map_or(0, |target| self.height(target, depth + 1)));
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            height = height.max(self.height(part, depth + 1));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(branches) = object.get(keyword).and_then(Value::as_array) {
                height = height.max(branches.iter().map(|branch| self.height(branch, depth + 1)).min().unwrap_or(0));
            }
        }
        let may_be_small = match object.get("type") {
            Some(Value::Array(types)) => types.iter().any(|name| !matches!(name.as_str(), Some("object" | "array"))),
            Some(Value::String(name)) => !matches!(name.as_str(), "object" | "array"),
            _ => false,
        };
        if may_be_small {
            return height;
        }
        let required: Vec<&str> =
            object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for name in required {
            if let Some(property) = object.get("properties").and_then(|properties| properties.get(name)) {
                height = height.max(1 + self.height(property, depth + 1));
            }
        }
        if object.get("minItems").and_then(Value::as_f64).is_some_and(|min| min > 0.0)
            && let Some(items) = object.get("items")
        {
            height = height.max(1 + self.height(items, depth + 1));
        }
        height.min(ENDLESS)
    }
}
