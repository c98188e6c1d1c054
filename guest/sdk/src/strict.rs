//! The schema for the model: a stricter variant of the canonical one, in the subset that providers with "strict" structured
//! output take (the OpenAI rules, which the others' grammars can read as well).
//!
//! | canonical | for the model |
//! |---|---|
//! | object | `additionalProperties: false`, every property required |
//! | optional property | required and nullable; [`strip_nulls`] takes those nulls out of the answer again |
//! | `readOnly: true` property | left out: the guest fills it in itself |
//! | `const` | `enum` with one value |
//! | `oneOf` | `anyOf` |
//! | `$ref` | kept alone, without siblings; `$defs` kept |
//! | `format`, `pattern`, lengths, bounds, counts, `uniqueItems` | removed, and said in the `description` instead |
//! | `title`, `default`, `examples`, `$id`, `$schema`, `$comment`, … | removed; they constrain nothing |
//! | maps, tuples, `allOf`, `anyOf` and `oneOf` beside `properties`, `not`, `if`, `contains`, … | removed; each is a [`Loss`] |
//!
//! What is lost here is not lost for the report: the canonical schema decides.

use serde_json::{Map, Value, json};
use std::fmt;

/// A constraint of the canonical schema that the stricter variant does not express and only validation will catch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// JSON pointer into the canonical schema.
    pub pointer: String,
    /// The keyword that was left out.
    pub keyword: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pointer, keyword } = self;
        let place = if pointer.is_empty() { "the root" } else { pointer };
        write!(f, "{keyword} at {place} cannot be said in it; answers are held to it all the same")
    }
}

/// Keywords that constrain nothing, so that dropping them loses nothing.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "title",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentMediaType",
    "contentEncoding",
    "contentSchema",
];

/// Keywords that move into the description, with the words that stand for them there.
const DESCRIBED: &[(&str, &str)] = &[
    ("format", "format"),
    ("pattern", "pattern"),
    ("minLength", "minimum length"),
    ("maxLength", "maximum length"),
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("exclusiveMinimum", "above"),
    ("exclusiveMaximum", "below"),
    ("multipleOf", "multiple of"),
    ("minItems", "minimum number of items"),
    ("maxItems", "maximum number of items"),
    ("uniqueItems", "unique items"),
];

/// How many `$ref`s are followed in a row, or alternatives looked into one within another, before a schema counts as circular.
const MAX_REFS: usize = 16;

/// Derives the schema for the model, and what it could not express.
pub fn derive(canonical: &Value) -> (Value, Vec<Loss>) {
    let mut deriver = Deriver { losses: Vec::new() };
    let strict = deriver.schema(canonical, "");
    (strict, deriver.losses)
}

struct Deriver {
    losses: Vec<Loss>,
}

impl Deriver {
    fn lose(&mut self, pointer: &str, keyword: &str) {
        self.losses.push(Loss { pointer: pointer.to_owned(), keyword: keyword.to_owned() });
    }

    fn schema(&mut self, schema: &Value, at: &str) -> Value {
        let Value::Object(source) = schema else {
            // `true` allows anything and `false` nothing; neither has a form in the subset.
            self.lose(at, "boolean schema");
            return any_scalar();
        };
        let mut out = Map::new();
        if let Some(Value::Object(defs)) = source.get("$defs") {
            let defs = defs.iter().map(|(name, def)| (name.clone(), self.schema(def, &join(at, &["$defs", name]))));
            out.insert("$defs".to_owned(), Value::Object(defs.collect()));
        }
        if let Some(reference) = source.get("$ref") {
            for keyword in source.keys().filter(|k| !["$ref", "$defs", "description"].contains(&k.as_str())) {
                if !ANNOTATIONS.contains(&keyword.as_str()) {
                    self.lose(at, keyword);
                }
            }
            out.insert("$ref".to_owned(), reference.clone());
            return Value::Object(out);
        }
        for (keyword, value) in source {
            match keyword.as_str() {
                "type" | "enum" | "description" => {
                    out.insert(keyword.clone(), value.clone());
                }
                "const" => {
                    out.insert("enum".to_owned(), json!([value]));
                }
                // Beside them, a branch would have to repeat every property: each object says all that it may have.
                "anyOf" | "oneOf" if source.contains_key("properties") => self.lose(at, keyword),
                "anyOf" | "oneOf" => {
                    let branches = value.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate();
                    let branches =
                        branches.map(|(i, branch)| self.schema(branch, &join(at, &[keyword, &i.to_string()])));
                    out.insert("anyOf".to_owned(), Value::Array(branches.collect()));
                }
                "items" => {
                    out.insert(keyword.clone(), self.schema(value, &join(at, &[keyword])));
                }
                "$defs" | "properties" | "required" => {}
                "additionalProperties" | "unevaluatedProperties" if *value == json!(false) => {}
                _ if ANNOTATIONS.contains(&keyword.as_str()) => {}
                _ if DESCRIBED.iter().any(|(known, _)| known == keyword) => {}
                _ => self.lose(at, keyword),
            }
        }
        if is_object(source) {
            self.object(source, &mut out, at);
        }
        if allows(source, "array") && source.contains_key("type") && !out.contains_key("items") {
            self.lose(at, "items");
            out.insert("items".to_owned(), any_scalar());
        }
        describe(source, &mut out);
        Value::Object(out)
    }

    fn object(&mut self, source: &Map<String, Value>, out: &mut Map<String, Value>, at: &str) {
        let empty = Map::new();
        let properties = source.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        if properties.is_empty() {
            self.lose(at, "properties");
        }
        let mut strict = Map::new();
        for (name, property) in properties.iter().filter(|(_, property)| !is_read_only(property)) {
            let derived = self.schema(property, &join(at, &["properties", name]));
            let derived = if is_required(source, name) { derived } else { nullable(derived) };
            strict.insert(name.clone(), derived);
        }
        out.entry("type").or_insert_with(|| json!("object"));
        out.insert("required".to_owned(), strict.keys().cloned().collect());
        out.insert("properties".to_owned(), Value::Object(strict));
        out.insert("additionalProperties".to_owned(), json!(false));
    }
}

fn join(at: &str, segments: &[&str]) -> String {
    let escaped = segments.iter().map(|segment| format!("/{}", segment.replace('~', "~0").replace('/', "~1")));
    std::iter::once(at.to_owned()).chain(escaped).collect()
}

/// A schema for "some plain value", where the canonical one does not say which.
fn any_scalar() -> Value {
    json!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]})
}

fn allows(schema: &Map<String, Value>, kind: &str) -> bool {
    match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|k| k == kind),
        Some(only) => only == kind,
    }
}

fn is_object(schema: &Map<String, Value>) -> bool {
    schema.contains_key("properties") || (schema.contains_key("type") && allows(schema, "object"))
}

fn is_read_only(schema: &Value) -> bool {
    schema.get("readOnly") == Some(&Value::Bool(true))
}

fn is_required(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|n| n == name))
}

/// Adds null to what a derived schema allows.
fn nullable(mut schema: Value) -> Value {
    let Some(map) = schema.as_object_mut() else {
        return schema;
    };
    let null_type = json!({"type": "null"});
    if map.contains_key("$ref") {
        return json!({"anyOf": [schema, null_type]});
    }
    if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
        if !branches.contains(&null_type) {
            branches.push(null_type);
        }
    }
    if let Some(kind) = map.get_mut("type") {
        let mut kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
        if !kinds.contains(&json!("null")) {
            kinds.push(json!("null"));
        }
        *kind = Value::Array(kinds);
    }
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        if !values.contains(&Value::Null) {
            values.push(Value::Null);
        }
    }
    schema
}

/// Says in the description what the subset cannot say in keywords: the model reads it, and most often obeys.
fn describe(source: &Map<String, Value>, out: &mut Map<String, Value>) {
    let said: Vec<String> = DESCRIBED
        .iter()
        .filter_map(|(keyword, words)| source.get(*keyword).map(|value| (words, value)))
        .filter_map(|(words, value)| match value {
            Value::Bool(false) => None,
            Value::Bool(true) => Some((*words).to_owned()),
            Value::String(text) => Some(format!("{words} {text}")),
            other => Some(format!("{words} {other}")),
        })
        .collect();
    if said.is_empty() {
        return;
    }
    let written = out.get("description").and_then(Value::as_str).map(|text| format!("{text} ")).unwrap_or_default();
    out.insert("description".to_owned(), Value::String(format!("{written}({})", said.join(", "))));
}

/// Whether there is a null anywhere in a document.
pub(crate) fn holds_null(document: &Value) -> bool {
    match document {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(map) => map.values().any(holds_null),
        _ => false,
    }
}

/// Removes each null that stands for "left out": a property that the canonical schema neither requires nor lets be null.
pub fn strip_nulls(document: &mut Value, canonical: &Value) {
    strip(document, canonical, canonical, MAX_REFS);
}

/// `refs_left` bounds how deep the schema goes without going deeper into the value.
fn strip(value: &mut Value, schema: &Value, root: &Value, refs_left: usize) {
    let Some(map) = resolve(schema, root).as_object() else {
        return;
    };
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                object.retain(|name, value| match properties.get(name) {
                    Some(property) if value.is_null() => {
                        is_required(map, name) || permits_null(property, root, MAX_REFS)
                    }
                    _ => true,
                });
                for (name, value) in object.iter_mut() {
                    if let Some(property) = properties.get(name) {
                        strip(value, property, root, MAX_REFS);
                    }
                }
            }
        }
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

/// Whether a value has the type, the names and the constants of an alternative; enough to tell alternatives apart.
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

/// Follows local `$ref`s; a reference that leads nowhere or in a circle resolves to itself.
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

#[cfg(test)]
mod tests;
