//! The schema for the model: a stricter variant of the canonical one, in the subset that providers with "strict"
//! structured output accept. The subset follows OpenAI's rules; the grammars of other providers can read it too.
//!
//! | canonical | for the model |
//! |---|---|
//! | object | `additionalProperties: false`, every property required |
//! | optional property | required and nullable; [`strip_nulls`] removes those nulls from the answer |
//! | `readOnly: true` property | left out: the guest's code writes it |
//! | `const` | `enum` with one value |
//! | `oneOf` | `anyOf` |
//! | `$ref` | kept without siblings, if the variant has its target |
//! | `$defs`, `definitions` | `$defs` |
//! | `format`, `pattern`, lengths, bounds, counts, `uniqueItems` | moved into the `description` |
//! | `title`, `default`, `examples`, `$id`, `$schema`, `$comment`, … | removed; they constrain nothing |
//! | `x-assay-codes` at the root | removed; the host reads it |
//! | `allOf`, `anyOf` and `oneOf` beside `properties`, `not`, `if`, `contains`, … | removed; each is a [`Loss`] |
//! | maps, tuples, schemas without a type, a required name without a property | narrower than the canonical schema; each is a [`Loss`] |
//!
//! Reports lose nothing: they are validated against the canonical schema.

mod keywords;
mod loss;
mod nulls;

use std::{collections::BTreeSet, iter};

use serde_json::{Map, Value, json};

use self::keywords::{allows, is_object, is_read_only, is_required};

pub use self::{
    loss::{Effect, Loss},
    nulls::{holds_null, strip_nulls},
};

/// Keywords that constrain nothing, so removing them is not a loss.
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

/// Keywords that move into the description, with their words there.
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

/// Declares a guest's own codes to the host, at the root of the canonical schema.
const CODES: &str = "x-assay-codes";

/// Keywords for definitions: the current one, and the one of older drafts that many schemas still use.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// Derives the schema for the model from the canonical one. Returns it with everything that it cannot express.
pub fn derive(canonical: &Value) -> (Value, Vec<Loss>) {
    let mut deriver = Deriver { losses: Vec::new(), references: Vec::new() };
    let mut strict = deriver.schema(canonical, "");
    if canonical.get("$ref").is_none() && !canonical.as_object().is_some_and(is_object) {
        deriver.lose("", "type", Effect::NoObject);
    }
    let is_dangling =
        |reference: &str| reference.strip_prefix('#').is_none_or(|pointer| strict.pointer(pointer).is_none());
    let (dangling, _): (Vec<_>, Vec<_>) =
        deriver.references.drain(..).partition(|(_, reference)| is_dangling(reference));
    for (at, _) in &dangling {
        deriver.losses.push(Loss { pointer: at.clone(), keyword: "$ref".to_owned(), effect: Effect::PlainValue });
    }
    let dangling = dangling.into_iter().map(|(_, reference)| reference).collect();
    replace_dangling(&mut strict, &dangling);
    (strict, deriver.losses)
}

/// Replaces references without a target by a plain value: a provider would refuse the whole schema.
fn replace_dangling(schema: &mut Value, dangling: &BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if map.get("$ref").and_then(Value::as_str).is_some_and(|reference| dangling.contains(reference)) {
                map.remove("$ref");
                map.extend(any_scalar());
            }
            map.values_mut().for_each(|value| replace_dangling(value, dangling));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_dangling(item, dangling)),
        _ => {}
    }
}

struct Deriver {
    losses: Vec<Loss>,
    /// Each `$ref` that was kept: its pointer in the canonical schema, and its target.
    references: Vec<(String, String)>,
}

impl Deriver {
    fn lose(&mut self, pointer: &str, keyword: &str, effect: Effect) {
        self.losses.push(Loss { pointer: pointer.to_owned(), keyword: keyword.to_owned(), effect });
    }

    fn schema(&mut self, schema: &Value, at: &str) -> Value {
        let Value::Object(source) = schema else {
            // The subset has no form for `true` (anything) and `false` (nothing).
            self.lose(at, "boolean schema", Effect::PlainValue);
            return Value::Object(any_scalar());
        };
        let mut out = Map::new();
        self.definitions(source, &mut out, at);
        if let Some(Value::String(reference)) = source.get("$ref") {
            self.reference(reference, source, &mut out, at);
            return Value::Object(out);
        }
        for (keyword, value) in source {
            self.keyword(keyword, value, source, &mut out, at);
        }
        if is_object(source) {
            self.object(source, &mut out, at);
        }
        if allows(source, "array") && source.contains_key("type") && !out.contains_key("items") {
            self.lose(at, "items", Effect::PlainValue);
            out.insert("items".to_owned(), Value::Object(any_scalar()));
        }
        if !["type", "enum", "anyOf"].iter().any(|keyword| out.contains_key(*keyword)) {
            // The subset has no form for "any value".
            self.lose(at, "type", Effect::PlainValue);
            out.extend(any_scalar());
        }
        describe(source, &mut out);
        Value::Object(out)
    }

    fn reference(&mut self, reference: &str, source: &Map<String, Value>, out: &mut Map<String, Value>, at: &str) {
        for keyword in source.keys().filter(|k| !["$ref", "description"].contains(&k.as_str())) {
            let is_codes = keyword == CODES && at.is_empty();
            if !is_codes && !ANNOTATIONS.contains(&keyword.as_str()) && !DEFINITIONS.contains(&keyword.as_str()) {
                self.lose(at, keyword, Effect::Unsaid);
            }
        }
        let renamed = reference.strip_prefix("#/definitions/").map(|name| format!("#/$defs/{name}"));
        let reference = renamed.unwrap_or_else(|| reference.to_owned());
        self.references.push((at.to_owned(), reference.clone()));
        out.insert("$ref".to_owned(), Value::String(reference));
    }

    fn keyword(
        &mut self,
        keyword: &str,
        value: &Value,
        source: &Map<String, Value>,
        out: &mut Map<String, Value>,
        at: &str,
    ) {
        match keyword {
            "type" | "enum" | "description" => {
                out.insert(keyword.to_owned(), value.clone());
            }
            "const" => {
                out.insert("enum".to_owned(), json!([value]));
            }
            // Objects are closed here, so each branch would have to repeat every property.
            "anyOf" | "oneOf" if source.contains_key("properties") => self.lose(at, keyword, Effect::Unsaid),
            // Both become `anyOf`, so only one of them fits.
            "oneOf" if source.contains_key("anyOf") => self.lose(at, keyword, Effect::Unsaid),
            "anyOf" | "oneOf" => {
                let branches = value.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate();
                let branches = branches.map(|(i, branch)| self.schema(branch, &join(at, &[keyword, &i.to_string()])));
                out.insert("anyOf".to_owned(), Value::Array(branches.collect()));
            }
            "items" => {
                out.insert(keyword.to_owned(), self.schema(value, &join(at, &[keyword])));
            }
            "required" if !is_object(source) => self.lose(at, keyword, Effect::Unsaid),
            "$defs" | "definitions" | "properties" | "required" => {}
            "additionalProperties" | "unevaluatedProperties" if *value == json!(false) => {}
            CODES if at.is_empty() => {}
            _ if ANNOTATIONS.contains(&keyword) => {}
            _ if DESCRIBED.iter().any(|(known, _)| *known == keyword) => {}
            _ => self.lose(at, keyword, Effect::Unsaid),
        }
    }

    fn definitions(&mut self, source: &Map<String, Value>, out: &mut Map<String, Value>, at: &str) {
        let mut definitions = Map::new();
        for keyword in DEFINITIONS {
            for (name, definition) in source.get(keyword).and_then(Value::as_object).into_iter().flatten() {
                if definitions.contains_key(name) {
                    self.lose(&join(at, &[keyword]), name, Effect::Unsaid);
                } else {
                    definitions.insert(name.clone(), self.schema(definition, &join(at, &[keyword, name])));
                }
            }
        }
        if !definitions.is_empty() {
            out.insert("$defs".to_owned(), Value::Object(definitions));
        }
    }

    fn object(&mut self, source: &Map<String, Value>, out: &mut Map<String, Value>, at: &str) {
        let empty = Map::new();
        let properties = source.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        if properties.is_empty() {
            self.lose(at, "properties", Effect::EmptyObject);
        }
        let required = source.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            let effect = match properties.get(name) {
                None => Effect::Unwritable,
                Some(property) if is_read_only(property) => Effect::LeftToCode,
                Some(_) => continue,
            };
            self.lose(at, &format!("required {name:?}"), effect);
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

/// Appends segments to a JSON pointer, escaped as in RFC 6901.
fn join(at: &str, segments: &[&str]) -> String {
    let escaped = segments.iter().map(|segment| format!("/{}", segment.replace('~', "~0").replace('/', "~1")));
    iter::once(at.to_owned()).chain(escaped).collect()
}

/// Returns a schema for any string, number, boolean or null.
fn any_scalar() -> Map<String, Value> {
    let kinds = ["string", "number", "boolean", "null"].map(|kind| json!({"type": kind}));
    Map::from_iter([("anyOf".to_owned(), json!(kinds))])
}

/// Makes a derived schema accept null too.
fn nullable(mut schema: Value) -> Value {
    let Some(map) = schema.as_object_mut() else {
        return schema;
    };
    let null_type = json!({"type": "null"});
    if map.contains_key("$ref") {
        return json!({"anyOf": [schema, null_type]});
    }
    match map.get_mut("anyOf") {
        Some(Value::Array(branches)) if !branches.contains(&null_type) => branches.push(null_type),
        _ => {}
    }
    if let Some(kind) = map.get_mut("type") {
        let mut kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
        if !kinds.contains(&json!("null")) {
            kinds.push(json!("null"));
        }
        *kind = Value::Array(kinds);
    }
    match map.get_mut("enum") {
        Some(Value::Array(values)) if !values.contains(&Value::Null) => values.push(Value::Null),
        _ => {}
    }
    schema
}

/// Writes constraints that the subset lacks into the description; models read it and mostly obey.
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

#[cfg(test)]
mod tests;
