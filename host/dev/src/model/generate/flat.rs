//! One flat set of keywords, and how two of them merge into one that allows what both allow.

use serde_json::{Map, Value, json};

/// Keywords that flattening consumes.
const APPLICATORS: [&str; 12] =
    ["$ref", "$defs", "definitions", "allOf", "anyOf", "oneOf", "if", "then", "else", "not", "dependentSchemas", "$id"];

/// Keywords that speak about one type alone.
const TYPE_KEYWORDS: [(&str, &str); 4] = [
    ("object", "properties required additionalProperties patternProperties minProperties maxProperties propertyNames"),
    ("array", "items prefixItems minItems maxItems contains uniqueItems"),
    ("string", "minLength maxLength pattern format"),
    ("number", "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf"),
];

/// A schema without applicators, except `allOf`: it holds what cannot be merged.
#[derive(Debug, Clone, Default)]
pub(super) struct Flat {
    keywords: Map<String, Value>,
    /// The keywords may allow too much: check a value against the original.
    pub(super) uncertain: bool,
}

impl Flat {
    /// Takes the keywords beside the applicators, in the spelling of 2020-12.
    pub(super) fn own_keywords(schema: &Map<String, Value>) -> Self {
        let mut keywords = schema.clone();
        keywords.retain(|key, _| !APPLICATORS.contains(&key.as_str()));
        if keywords.get("items").is_some_and(Value::is_array) {
            let rest = keywords.remove("additionalItems").unwrap_or(Value::Bool(true));
            let items = keywords.insert("items".to_owned(), rest);
            keywords.extend(items.map(|items| ("prefixItems".to_owned(), items)));
        }
        Self { keywords, uncertain: false }
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&Value> {
        self.keywords.get(keyword)
    }

    pub(super) fn size(&self, keyword: &str) -> Option<usize> {
        // Sizes may be written as 2.0.
        self.get(keyword).and_then(Value::as_f64).map(|size| size as usize)
    }

    /// Iterates over a keyword that holds an object.
    pub(super) fn entries(&self, keyword: &str) -> impl Iterator<Item = (&str, &Value)> {
        let object = self.get(keyword).and_then(Value::as_object);
        object.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the keywords without annotations, as a schema that checks a candidate.
    pub(super) fn assertions(&self) -> Value {
        let mut keywords = self.keywords.clone();
        keywords.retain(|key, _| !matches!(key.as_str(), "description" | "title" | "examples" | "default"));
        Value::Object(keywords)
    }

    /// Adds a constraint that merging cannot express.
    pub(super) fn add_unmerged(&mut self, constraint: Value) {
        self.uncertain = true;
        if let Some(list) = self.keywords.entry("allOf").or_insert_with(|| json!([])).as_array_mut() {
            list.push(constraint);
        }
    }

    /// Returns the allowed types. Without `type`, the first one is guessed by the other keywords.
    pub(super) fn types(&self) -> Vec<&str> {
        if let Some(types) = self.get("type") {
            return type_names(types);
        }
        let is_about = |keywords: &str| keywords.split(' ').any(|keyword| self.keywords.contains_key(keyword));
        let first = TYPE_KEYWORDS.iter().find(|(_, keywords)| is_about(keywords)).map_or("string", |(name, _)| name);
        let mut types = vec!["string", "number", "boolean", "object", "array", "null"];
        types.retain(|name| *name != first);
        types.insert(0, first);
        types
    }

    /// Merges `other`; returns `None` if the two obviously contradict each other.
    pub(super) fn merge(mut self, mut other: Self) -> Option<Self> {
        self.uncertain |= other.uncertain;
        self.merge_properties(&mut other);
        for (keyword, theirs) in other.keywords {
            let Some(ours) = self.keywords.get_mut(&keyword) else {
                self.keywords.insert(keyword, theirs);
                continue;
            };
            if *ours == theirs {
                continue;
            }
            match keyword.as_str() {
                "const" => return None,
                "type" => *ours = common_types(ours, &theirs)?,
                "required" | "allOf" => add_missing(ours, theirs),
                "items" | "propertyNames" => *ours = and(ours, &theirs),
                "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
                    keep_stricter(ours, theirs, |a, b| a >= b);
                }
                "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
                    keep_stricter(ours, theirs, |a, b| a <= b);
                }
                "enum" | "pattern" | "format" | "multipleOf" | "uniqueItems" | "prefixItems" | "contains"
                | "minContains" | "maxContains" | "patternProperties" | "dependentRequired" => {
                    self.add_unmerged(json!({ keyword: theirs }));
                }
                // Annotations: the nearer one holds.
                _ => {}
            }
        }
        Some(self)
    }

    /// Merges properties. One that only one side names must satisfy what the other says about additional ones.
    fn merge_properties(&mut self, other: &mut Self) {
        let named = self.keywords.contains_key("properties") || other.keywords.contains_key("properties");
        let (mut ours, mut theirs) = (self.take_properties(), other.take_properties());
        let (our_rest, their_rest) = (self.rest_of_properties(), other.rest_of_properties());
        for (name, schema) in &mut ours {
            *schema = and(schema, theirs.remove(name).as_ref().unwrap_or(&their_rest));
        }
        ours.extend(theirs.into_iter().map(|(name, schema)| (name, and(&our_rest, &schema))));
        if named {
            self.keywords.insert("properties".to_owned(), Value::Object(ours));
        }
        if let Some(theirs) = other.keywords.remove("additionalProperties") {
            let ours = self.get("additionalProperties").unwrap_or(&Value::Bool(true));
            self.keywords.insert("additionalProperties".to_owned(), and(ours, &theirs));
        }
    }

    fn take_properties(&mut self) -> Map<String, Value> {
        match self.keywords.remove("properties") {
            Some(Value::Object(properties)) => properties,
            _ => Map::new(),
        }
    }

    /// Returns the schema of unnamed properties, or `true` beside patterns: only a validator knows which one applies.
    fn rest_of_properties(&mut self) -> Value {
        let rest = self.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
        if !self.keywords.contains_key("patternProperties") || rest == Value::Bool(true) {
            return rest;
        }
        self.uncertain = true;
        Value::Bool(true)
    }

    /// Writes `unevaluated…` as `additional…`: after merging they speak about the same.
    pub(super) fn close(mut self) -> Self {
        for (unevaluated, rest) in [("unevaluatedProperties", "additionalProperties"), ("unevaluatedItems", "items")] {
            if let Some(schema) = self.keywords.remove(unevaluated) {
                self.uncertain = true;
                let both = and(self.get(rest).unwrap_or(&Value::Bool(true)), &schema);
                self.keywords.insert(rest.to_owned(), both);
            }
        }
        self
    }
}

/// Returns a schema that allows what both allow.
pub(super) fn and(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Bool(true), other) | (other, Value::Bool(true)) => other.clone(),
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        _ if a == b => a.clone(),
        _ => json!({ "allOf": [a, b] }),
    }
}

/// Reads a keyword that holds a list.
pub(super) fn list<'v>(keywords: &'v Map<String, Value>, keyword: &str) -> &'v [Value] {
    keywords.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Reads `type`: a name or a list of names.
pub(super) fn type_names(types: &Value) -> Vec<&str> {
    match types {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    }
}

fn common_types(ours: &Value, theirs: &Value) -> Option<Value> {
    let (mut common, theirs) = (type_names(ours), type_names(theirs));
    if let Some(number) = common.iter_mut().find(|name| **name == "number" && !theirs.contains(name)) {
        *number = "integer";
    }
    common.retain(|name| theirs.contains(name) || *name == "integer" && theirs.contains(&"number"));
    (!common.is_empty()).then(|| json!(common))
}

fn add_missing(ours: &mut Value, theirs: Value) {
    if let (Value::Array(ours), Value::Array(mut theirs)) = (ours, theirs) {
        theirs.retain(|value| !ours.contains(value));
        ours.append(&mut theirs);
    }
}

fn keep_stricter(ours: &mut Value, theirs: Value, is_stricter: fn(f64, f64) -> bool) {
    if !is_stricter(ours.as_f64().unwrap_or(0.0), theirs.as_f64().unwrap_or(0.0)) {
        *ours = theirs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(schema: Value) -> Flat {
        Flat::own_keywords(schema.as_object().unwrap())
    }

    #[test]
    fn bounds_meet_in_the_middle() {
        let one = flat(json!({"type": ["integer", "null"], "minimum": 1}));
        let both = one.merge(flat(json!({"type": "number", "minimum": 3, "maximum": 9}))).unwrap();
        assert_eq!(Value::Object(both.keywords), json!({"type": ["integer"], "minimum": 3, "maximum": 9}));
    }

    #[test]
    fn a_closed_object_forbids_what_only_the_other_side_names() {
        let closed = flat(json!({"properties": {"a": {}}, "additionalProperties": false}));
        let open = flat(json!({"properties": {"a": {"type": "string"}, "b": {}}}));
        let both = closed.merge(open).unwrap();
        assert_eq!(both.get("properties").unwrap()["b"], json!(false));
    }

    #[test]
    fn types_without_a_common_one_contradict() {
        assert!(flat(json!({"type": "string"})).merge(flat(json!({"type": "array"}))).is_none());
    }
}
