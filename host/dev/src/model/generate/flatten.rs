//! Turns a schema into one flat set of keywords: follows references, chooses branches, merges the rest.

use rand::{Rng, seq::SliceRandom};
use serde_json::{Map, Value, json};

use super::{
    Generator, Place,
    merge::{and, merge},
};

/// References followed and branches entered on the way to one node.
const DEEPEST_NESTING: usize = 48;

/// Keywords that flattening consumes.
const APPLICATORS: [&str; 14] = [
    "$ref",
    "$dynamicRef",
    "$defs",
    "definitions",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "then",
    "else",
    "not",
    "dependentSchemas",
    "dependencies",
    "$id",
];

/// A schema without applicators, but for `allOf`, which holds what could not be merged.
#[derive(Debug, Clone, Default)]
pub(super) struct Flat {
    pub(super) keywords: Map<String, Value>,
    /// Satisfying the keywords may not be enough: check against the original.
    pub(super) uncertain: bool,
}

impl Flat {
    pub(super) fn get(&self, keyword: &str) -> Option<&Value> {
        self.keywords.get(keyword)
    }

    pub(super) fn size(&self, keyword: &str) -> Option<usize> {
        // Sizes may be written as 2.0.
        self.get(keyword).and_then(Value::as_f64).map(|size| size.max(0.0) as usize)
    }

    /// The keywords but for those that name a value; for checking a candidate.
    pub(super) fn as_schema(&self) -> Value {
        let keywords = self
            .keywords
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "description" | "title" | "examples" | "default"));
        Value::Object(keywords.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Adds a constraint that merging cannot express.
    pub(super) fn residue(&mut self, constraint: Value) {
        self.uncertain = true;
        if let Some(list) = self.keywords.entry("allOf").or_insert_with(|| json!([])).as_array_mut() {
            list.push(constraint);
        }
    }

    /// The allowed types; where none is named, the one that the other keywords are about.
    pub(super) fn types(&self) -> Vec<&str> {
        match self.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => {
                const ABOUT: [(&str, &[&str]); 4] = [
                    (
                        "object",
                        &[
                            "properties",
                            "required",
                            "additionalProperties",
                            "patternProperties",
                            "minProperties",
                            "maxProperties",
                            "propertyNames",
                        ],
                    ),
                    ("array", &["items", "prefixItems", "minItems", "maxItems", "contains", "uniqueItems"]),
                    ("string", &["minLength", "maxLength", "pattern", "format"]),
                    ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
                ];
                let about = ABOUT
                    .iter()
                    .find(|(_, keywords)| keywords.iter().any(|keyword| self.keywords.contains_key(*keyword)));
                let first = about.map_or("string", |(name, _)| name);
                // The rest stays possible, should the first turn out not to be.
                [first]
                    .into_iter()
                    .chain(
                        ["string", "number", "boolean", "object", "array", "null"]
                            .into_iter()
                            .filter(|name| *name != first),
                    )
                    .collect()
            }
        }
    }
}

impl Generator<'_> {
    /// Flattens a schema; `None` where the choices made contradict each other.
    pub(super) fn flatten(&mut self, schema: &Value, place: Place<'_>, nesting: usize) -> Option<Flat> {
        let object = match schema {
            Value::Bool(true) => return Some(Flat::default()),
            Value::Object(object) => object,
            _ => return None,
        };
        if nesting > DEEPEST_NESTING {
            return None;
        }
        let keywords = object.iter().filter(|(key, _)| !APPLICATORS.contains(&key.as_str()));
        let mut flat =
            Flat { keywords: keywords.map(|(key, value)| (key.clone(), value.clone())).collect(), uncertain: false };
        modernize(&mut flat.keywords);

        for reference in ["$ref", "$dynamicRef"].iter().filter_map(|key| object.get(*key).and_then(Value::as_str)) {
            match self.schema.resolve(reference) {
                Some(target) => flat = merge(flat, self.flatten(target, place, nesting + 1)?)?,
                None => flat.uncertain = true,
            }
        }
        for part in list(object, "allOf") {
            flat = merge(flat, self.flatten(part, place, nesting + 1)?)?;
        }
        for keyword in ["anyOf", "oneOf"] {
            if object.contains_key(keyword) {
                flat = self.one_branch(flat, list(object, keyword), place, nesting)?;
                flat.uncertain |= keyword == "oneOf";
            }
        }
        if let Some(condition) = object.get("if") {
            flat = self.conditional(flat, condition, object, place, nesting)?;
            flat.uncertain = true;
        }
        if let Some(forbidden) = object.get("not") {
            flat.residue(json!({ "not": forbidden }));
        }
        self.dependencies(flat, object, place, nesting).map(close)
    }

    /// Merges one branch of `anyOf` or `oneOf`: the most sensible that fits.
    fn one_branch(&mut self, flat: Flat, branches: &[Value], place: Place<'_>, nesting: usize) -> Option<Flat> {
        let mut order: Vec<&Value> = branches.iter().collect();
        if place.is_deep() {
            order.sort_by_cached_key(|branch| self.height(branch, 0));
        } else if place.sensible {
            let null_first = place.depth > 0 && !self.voice.knows(place.name);
            order.sort_by_key(|branch| is_null(branch) != null_first);
        } else {
            order.shuffle(&mut self.rng);
        }
        order.into_iter().find_map(|branch| merge(flat.clone(), self.flatten(branch, place, nesting + 1)?))
    }

    fn conditional(
        &mut self,
        flat: Flat,
        condition: &Value,
        object: &Map<String, Value>,
        place: Place<'_>,
        nesting: usize,
    ) -> Option<Flat> {
        let otherwise = object.get("else");
        let holds = |generator: &mut Self| {
            let with = merge(flat.clone(), generator.flatten(condition, place, nesting + 1)?)?;
            match object.get("then") {
                Some(then) => merge(with, generator.flatten(then, place, nesting + 1)?),
                None => Some(with),
            }
        };
        let fails = |generator: &mut Self| {
            let mut without = flat.clone();
            if let Some(otherwise) = otherwise {
                without = merge(without, generator.flatten(otherwise, place, nesting + 1)?)?;
            }
            without.residue(json!({ "not": condition }));
            Some(without)
        };
        if self.rng.random_bool(0.5) {
            holds(self).or_else(|| fails(self))
        } else {
            fails(self).or_else(|| holds(self))
        }
    }

    /// Merges what depends on a property, or forbids the property where the two contradict.
    fn dependencies(
        &mut self,
        mut flat: Flat,
        object: &Map<String, Value>,
        place: Place<'_>,
        nesting: usize,
    ) -> Option<Flat> {
        for keyword in ["dependentSchemas", "dependencies"] {
            for (name, dependent) in object.get(keyword).and_then(Value::as_object).into_iter().flatten() {
                flat.uncertain = true;
                if dependent.is_array() {
                    let both = json!({ "dependentRequired": { name.as_str(): dependent } });
                    flat =
                        merge(flat, Flat { keywords: both.as_object().cloned().unwrap_or_default(), uncertain: true })?;
                    continue;
                }
                let merged =
                    self.flatten(dependent, place, nesting + 1).and_then(|dependent| merge(flat.clone(), dependent));
                let forbidden =
                    || json!({ "properties": { name.as_str(): false } }).as_object().cloned().unwrap_or_default();
                flat = match merged {
                    Some(merged) => merged,
                    None => merge(flat, Flat { keywords: forbidden(), uncertain: true })?,
                };
            }
        }
        Some(flat)
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null") || schema.get("const").is_some_and(Value::is_null)
}

fn list<'v>(object: &'v Map<String, Value>, keyword: &str) -> &'v [Value] {
    object.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Writes what older drafts spell otherwise as 2020-12 does.
fn modernize(keywords: &mut Map<String, Value>) {
    if keywords.get("items").is_some_and(Value::is_array)
        && let Some(items) = keywords.remove("items")
    {
        keywords.insert("prefixItems".to_owned(), items);
        if let Some(rest) = keywords.remove("additionalItems") {
            keywords.insert("items".to_owned(), rest);
        }
    }
    for (exclusive, plain) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match keywords.get(exclusive) {
            Some(Value::Bool(true)) => match keywords.remove(plain) {
                Some(bound) => keywords.insert(exclusive.to_owned(), bound),
                None => keywords.remove(exclusive),
            },
            Some(Value::Bool(false)) => keywords.remove(exclusive),
            _ => None,
        };
    }
}

/// `unevaluated…` speaks about all that was merged so far, so here it is the same as `additional…`.
fn close(mut flat: Flat) -> Flat {
    for (unevaluated, rest) in [("unevaluatedProperties", "additionalProperties"), ("unevaluatedItems", "items")] {
        if let Some(schema) = flat.keywords.remove(unevaluated) {
            flat.uncertain = true;
            let both = match flat.keywords.remove(rest) {
                Some(known) => and(&known, &schema),
                None => schema,
            };
            flat.keywords.insert(rest.to_owned(), both);
        }
    }
    flat
}
