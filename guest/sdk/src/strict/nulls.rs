//! Strips the nulls that the stricter variant makes the model write.

use serde_json::{Map, Value, json};

use super::keywords::{allows, is_required};

/// Limits the `$ref`s followed in a row and the nesting of alternatives; a schema beyond it counts as circular.
const MAX_REFS: usize = 16;

/// Returns whether a document holds a null at any depth.
pub fn holds_null(document: &Value) -> bool {
    match document {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(map) => map.values().any(holds_null),
        _ => false,
    }
}

/// Removes each null that means "left out": the canonical schema neither requires the property nor allows null for it.
pub fn strip_nulls(document: &mut Value, canonical: &Value) {
    strip(document, canonical, canonical, MAX_REFS);
}

/// Strips one value; `refs_left` limits the steps in the schema that do not go deeper into the value.
fn strip(value: &mut Value, schema: &Value, root: &Value, refs_left: usize) {
    let Some(map) = resolve(schema, root).as_object() else {
        return;
    };
    match value {
        Value::Object(object) => strip_properties(object, map, root),
        Value::Array(items) => {
            let tuple = map.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for (index, item) in items.iter_mut().enumerate() {
                if let Some(schema) = tuple.get(index).or_else(|| map.get("items")) {
                    strip(item, schema, root, MAX_REFS);
                }
            }
        }
        _ => return,
    }
    if refs_left == 0 {
        return;
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let branches = map.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let all = keyword == "allOf";
        let fitting: Vec<&Value> = branches.iter().filter(|branch| all || could_be(value, branch, root)).collect();
        for branch in if all { &fitting[..] } else { &fitting[..fitting.len().min(1)] } {
            strip(value, branch, root, refs_left - 1);
        }
    }
}

fn strip_properties(object: &mut Map<String, Value>, schema: &Map<String, Value>, root: &Value) {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return;
    };
    object.retain(|name, value| match properties.get(name) {
        Some(property) if value.is_null() => is_required(schema, name) || permits_null(property, root, MAX_REFS),
        _ => true,
    });
    for (name, value) in object.iter_mut() {
        if let Some(property) = properties.get(name) {
            strip(value, property, root, MAX_REFS);
        }
    }
}

/// Returns whether a value has the type, the names and the constants of an alternative. That is enough to choose one.
fn could_be(value: &Value, branch: &Value, root: &Value) -> bool {
    let Some(map) = resolve(branch, root).as_object() else {
        return false;
    };
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        _ => return false,
    };
    if !allows(map, kind) {
        return false;
    }
    let (Value::Object(object), Some(Value::Object(properties))) = (value, map.get("properties")) else {
        return true;
    };
    object.iter().all(|(name, value)| {
        properties.get(name).is_some_and(|property| {
            let property = resolve(property, root);
            let constant = property.get("const").is_none_or(|constant| constant == value);
            let listed = property.get("enum").and_then(Value::as_array).is_none_or(|list| list.contains(value));
            value.is_null() || (constant && listed)
        })
    })
}

fn permits_null(schema: &Value, root: &Value, refs_left: usize) -> bool {
    let Some(map) = resolve(schema, root).as_object() else {
        return schema != &json!(false);
    };
    if map.get("const").is_some_and(|constant| !constant.is_null()) {
        return false;
    }
    if map.get("enum").and_then(Value::as_array).is_some_and(|values| !values.contains(&Value::Null)) {
        return false;
    }
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|keyword| map.get(keyword)?.as_array());
    let fits = |branches: &Vec<Value>| {
        refs_left > 0 && branches.iter().any(|branch| permits_null(branch, root, refs_left - 1))
    };
    allows(map, "null") && alternatives.into_iter().all(fits)
}

/// Follows local `$ref`s up to [`MAX_REFS`]; stops at a reference without a target.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut at = schema;
    for _ in 0..MAX_REFS {
        let Some(pointer) = at.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#')) else {
            return at;
        };
        let Some(target) = root.pointer(pointer) else {
            return at;
        };
        at = target;
    }
    at
}
