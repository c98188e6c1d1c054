//! Merges two flat schemas into one that allows what both allow. What cannot be expressed stays beside it, as a residue to check.

use serde_json::{Map, Value, json};

use super::flatten::Flat;

/// `None` where the two obviously contradict each other.
pub(super) fn merge(mut a: Flat, mut b: Flat) -> Option<Flat> {
    a.uncertain |= b.uncertain;
    merge_properties(&mut a, &mut b);
    merge_items(&mut a, &mut b);
    for (keyword, theirs) in b.keywords {
        let Some(ours) = a.keywords.get(&keyword).cloned() else {
            a.keywords.insert(keyword, theirs);
            continue;
        };
        if ours == theirs {
            continue;
        }
        let merged = match keyword.as_str() {
            "type" => common_types(&ours, &theirs)?,
            "enum" => common_values(&ours, &theirs)?,
            "const" => return None,
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
                extreme(&ours, &theirs, true)
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
                extreme(&ours, &theirs, false)
            }
            "multipleOf" => match common_multiple(&ours, &theirs) {
                Some(multiple) => multiple,
                None => {
                    a.residue(json!({ "multipleOf": theirs }));
                    ours
                }
            },
            "pattern" | "format" | "minContains" | "maxContains" | "contains" | "patternProperties"
            | "dependentRequired" | "required" | "allOf" => combine(&mut a, &keyword, ours, theirs),
            "uniqueItems" => json!(true),
            "propertyNames" => and(&ours, &theirs),
            // Annotations: the nearer one holds.
            _ => ours,
        };
        a.keywords.insert(keyword, merged);
    }
    Some(a)
}

/// A schema that allows what both allow.
pub(super) fn and(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Bool(true), other) | (other, Value::Bool(true)) => other.clone(),
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        _ if a == b => a.clone(),
        _ => json!({ "allOf": [a, b] }),
    }
}

/// Keywords that are lists or maps, or that can only be kept as a residue.
fn combine(a: &mut Flat, keyword: &str, ours: Value, theirs: Value) -> Value {
    match (keyword, ours, theirs) {
        ("required" | "allOf", Value::Array(mut ours), Value::Array(theirs)) => {
            for value in theirs {
                if !ours.contains(&value) {
                    ours.push(value);
                }
            }
            Value::Array(ours)
        }
        ("patternProperties", Value::Object(ours), Value::Object(theirs)) => {
            Value::Object(join(ours, theirs, |a, b| and(&a, &b)))
        }
        ("dependentRequired", Value::Object(ours), Value::Object(theirs)) => {
            Value::Object(join(ours, theirs, |a, b| {
                Value::Array([a, b].iter().filter_map(Value::as_array).flatten().cloned().collect())
            }))
        }
        (keyword, ours, theirs) => {
            a.residue(json!({ keyword: theirs }));
            ours
        }
    }
}

/// A property known to one side alone must satisfy what the other says about additional ones.
fn merge_properties(a: &mut Flat, b: &mut Flat) {
    let rest = |flat: &Flat| flat.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
    let (rest_a, rest_b) = (rest(a), rest(b));
    if rest_a == Value::Bool(true)
        && rest_b == Value::Bool(true)
        && !(a.keywords.contains_key("properties") && b.keywords.contains_key("properties"))
    {
        return;
    }
    // A pattern may speak for the property instead; only a validator can tell.
    let open = |flat: &Flat, rest: &Value| {
        if flat.keywords.contains_key("patternProperties") { Value::Bool(true) } else { rest.clone() }
    };
    let (open_a, open_b) = (open(a, &rest_a), open(b, &rest_b));
    a.uncertain |= open_a != rest_a || open_b != rest_b;
    let take = |flat: &mut Flat| match flat.keywords.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    let (ours, mut theirs) = (take(a), take(b));
    let mut both: Map<String, Value> = ours
        .into_iter()
        .map(|(name, schema)| {
            let other = theirs.remove(&name).unwrap_or_else(|| open_b.clone());
            let schema = and(&schema, &other);
            (name, schema)
        })
        .collect();
    both.extend(theirs.into_iter().map(|(name, schema)| {
        let schema = and(&open_a, &schema);
        (name, schema)
    }));
    if !both.is_empty() {
        a.keywords.insert("properties".to_owned(), Value::Object(both));
    }
    b.keywords.remove("additionalProperties");
    a.keywords.insert("additionalProperties".to_owned(), and(&rest_a, &rest_b));
}

/// As for properties: positions known to one side alone must satisfy the other's `items`.
fn merge_items(a: &mut Flat, b: &mut Flat) {
    let has = |flat: &Flat| flat.keywords.contains_key("items") || flat.keywords.contains_key("prefixItems");
    if !(has(a) && has(b)) {
        return;
    }
    let rest = |flat: &mut Flat| flat.keywords.remove("items").unwrap_or(Value::Bool(true));
    let (rest_a, rest_b) = (rest(a), rest(b));
    let take = |flat: &mut Flat| match flat.keywords.remove("prefixItems") {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let (ours, theirs) = (take(a), take(b));
    let both: Vec<Value> = (0..ours.len().max(theirs.len()))
        .map(|i| and(ours.get(i).unwrap_or(&rest_a), theirs.get(i).unwrap_or(&rest_b)))
        .collect();
    if !both.is_empty() {
        a.keywords.insert("prefixItems".to_owned(), Value::Array(both));
    }
    a.keywords.insert("items".to_owned(), and(&rest_a, &rest_b));
}

fn join(
    mut ours: Map<String, Value>,
    theirs: Map<String, Value>,
    both: impl Fn(Value, Value) -> Value,
) -> Map<String, Value> {
    for (key, theirs) in theirs {
        let value = match ours.remove(&key) {
            Some(ours) => both(ours, theirs),
            None => theirs,
        };
        ours.insert(key, value);
    }
    ours
}

fn common_types(ours: &Value, theirs: &Value) -> Option<Value> {
    let names = |value: &Value| -> Vec<String> {
        match value {
            Value::String(name) => vec![name.clone()],
            Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    let (ours, theirs) = (names(ours), names(theirs));
    let mut common: Vec<&str> = Vec::new();
    for a in &ours {
        for b in &theirs {
            let both = match (a.as_str(), b.as_str()) {
                (a, b) if a == b => a,
                ("number", "integer") | ("integer", "number") => "integer",
                _ => continue,
            };
            if !common.contains(&both) {
                common.push(both);
            }
        }
    }
    (!common.is_empty()).then(|| json!(common))
}

fn common_values(ours: &Value, theirs: &Value) -> Option<Value> {
    let theirs = theirs.as_array()?;
    let common: Vec<Value> = ours.as_array()?.iter().filter(|value| theirs.contains(value)).cloned().collect();
    (!common.is_empty()).then_some(Value::Array(common))
}

fn extreme(ours: &Value, theirs: &Value, larger: bool) -> Value {
    let (a, b) = (ours.as_f64().unwrap_or(0.0), theirs.as_f64().unwrap_or(0.0));
    if (a >= b) == larger { ours.clone() } else { theirs.clone() }
}

fn common_multiple(ours: &Value, theirs: &Value) -> Option<Value> {
    let (a, b) = (ours.as_u64()?, theirs.as_u64()?);
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (x != 0).then(|| a.checked_div(x)?.checked_mul(b)).flatten().map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(schema: Value) -> Flat {
        Flat { keywords: schema.as_object().unwrap().clone(), uncertain: false }
    }

    #[test]
    fn bounds_meet_in_the_middle() {
        let both = merge(
            flat(json!({"type": ["integer", "null"], "minimum": 1})),
            flat(json!({"type": "number", "minimum": 3, "maximum": 9})),
        )
        .unwrap();
        assert_eq!(Value::Object(both.keywords), json!({"type": ["integer"], "minimum": 3, "maximum": 9}));
    }

    #[test]
    fn a_closed_object_forbids_what_only_the_other_side_names() {
        let closed = flat(json!({"properties": {"a": {}}, "additionalProperties": false}));
        let open = flat(json!({"properties": {"a": {"type": "string"}, "b": {}}}));
        let both = merge(closed, open).unwrap();
        assert_eq!(both.get("properties").unwrap()["b"], json!(false));
    }

    #[test]
    fn types_without_a_common_one_contradict() {
        assert!(merge(flat(json!({"type": "string"})), flat(json!({"type": "array"}))).is_none());
    }
}
