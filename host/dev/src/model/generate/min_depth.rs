use serde_json::{Map, Value};

use super::flat::{list, type_names};
use crate::model::schema::Schema;

/// Deeper than any finite instance.
const ENDLESS: usize = 1_000;

/// Nodes on one way before a schema counts as endless.
const MAX_LOOKED_AT: usize = 10;

/// Estimates the depth of the smallest instance, by which a recursive schema is brought to an end. Contradictions are not noticed.
pub(super) fn min_depth(schema: &Schema, part: &Value, looked_at: usize) -> usize {
    let object = match part {
        Value::Object(object) if looked_at <= MAX_LOOKED_AT => object,
        Value::Object(_) | Value::Bool(false) => return ENDLESS,
        _ => return 0,
    };
    if object.contains_key("const") || object.contains_key("enum") {
        return 0;
    }
    let next = |part| min_depth(schema, part, looked_at + 1);
    let all = schema.target(object).into_iter().chain(list(object, "allOf")).map(next);
    let branches = ["anyOf", "oneOf"].iter().filter_map(|keyword| list(object, keyword).iter().map(next).min());
    let children = children(object).into_iter().map(|child| 1 + next(child));
    all.chain(branches).chain(children).max().unwrap_or(0).min(ENDLESS)
}

/// Returns the schemas of the values that the smallest instance must contain.
fn children(object: &Map<String, Value>) -> Vec<&Value> {
    let is_small = |name: &&str| !matches!(*name, "object" | "array");
    if object.get("type").is_some_and(|types| type_names(types).iter().any(is_small)) {
        return Vec::new();
    }
    let property = |name: &Value| object.get("properties")?.get(name.as_str()?);
    let required = list(object, "required").iter().filter_map(property);
    let has_items = object.get("minItems").and_then(Value::as_f64).is_some_and(|min| min > 0.0);
    required.chain(object.get("items").filter(|_| has_items)).collect()
}
