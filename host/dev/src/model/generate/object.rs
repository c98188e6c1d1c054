//! Objects: which properties, under which names, about which statement of the transcript.

use rand::Rng;
use serde_json::{Map, Value, json};

use super::{
    flat::{Flat, and},
    generator::{Generator, Slot},
};
use crate::model::property_kind::PropertyKind;

/// Entries of a map whose keys the schema leaves open.
const ENTRIES_PER_MAP: usize = 2;

/// From this depth on, optional properties are left out.
const REQUIRED_ONLY_DEPTH: usize = 5;

/// Tries to invent a free and allowed name, besides two per required entry.
const TRIES_PER_NAME: usize = 24;

/// The first names are plain words, later ones carry a number.
const PLAIN_NAME_TRIES: usize = 4;

const MAX_NAME_CHARS: usize = 40;

impl Generator<'_> {
    pub(super) fn object(&mut self, flat: &Flat, slot: Slot<'_>) -> Option<Value> {
        let kind = PropertyKind::of(slot.name);
        let mut kinds = properties(flat).map(PropertyKind::of);
        let states_it = kind != PropertyKind::Sentence && kinds.any(|property| property == kind);
        let entered = slot.depth > 0 && self.texts.enter(slot.name, states_it);
        let made = self.fill(flat, slot);
        if entered {
            self.texts.leave();
        }
        made.map(Value::Object)
    }

    fn fill(&mut self, flat: &Flat, slot: Slot<'_>) -> Option<Map<String, Value>> {
        let min = flat.size("minProperties").unwrap_or(0);
        let max = flat.size("maxProperties").unwrap_or(usize::MAX);
        let mut object = Map::new();
        for name in required(flat) {
            self.add(&mut object, flat, name, slot)?;
        }
        let optional: Vec<&str> = properties(flat).filter(|name| !object.contains_key(*name)).collect();
        let is_rich = slot.depth < REQUIRED_ONLY_DEPTH;
        for name in &optional {
            let wanted = if slot.sensible { self.texts.knows(name) } else { self.rng.random_bool(0.6) };
            if wanted && is_rich && object.len() < max {
                self.add(&mut object, flat, name, slot);
            }
        }
        for name in optional {
            if object.len() < min && !object.contains_key(name) {
                self.add(&mut object, flat, name, slot);
            }
        }
        let values = flat.get("additionalProperties").filter(|values| values.is_object());
        let is_map = properties(flat).next().is_none() && values.or(flat.get("patternProperties")).is_some();
        let wanted = if is_map && is_rich { min.max(ENTRIES_PER_MAP) } else { min };
        for turn in 1..=TRIES_PER_NAME + 2 * min {
            if object.len() >= wanted.min(max) {
                break;
            }
            if let Some(name) = self.name(flat, slot, turn).filter(|name| !object.contains_key(name)) {
                self.add(&mut object, flat, &name, slot);
            }
        }
        (min..=max).contains(&object.len()).then_some(object)
    }

    /// Adds one property; returns `None` if its name or every value is forbidden.
    fn add(&mut self, object: &mut Map<String, Value>, flat: &Flat, name: &str, slot: Slot<'_>) -> Option<()> {
        if flat.get("propertyNames").is_some_and(|names| !self.schema.part_allows(names, &json!(name))) {
            return None;
        }
        let value = self.value(&self.schema_of(flat, name), slot.below(name))?;
        object.insert(name.to_owned(), value);
        Some(())
    }

    /// Returns all that the schema says about the value under a name.
    fn schema_of(&self, flat: &Flat, name: &str) -> Value {
        let matches = |pattern: &str| self.schema.part_allows(&json!({ "pattern": pattern }), &json!(name));
        let named = flat.get("properties").and_then(|properties| properties.get(name));
        let matching = flat.entries("patternProperties").filter(|(pattern, _)| matches(pattern));
        let all = named.into_iter().chain(matching.map(|(_, schema)| schema)).cloned();
        let rest = || flat.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
        all.reduce(|a, b| and(&a, &b)).unwrap_or_else(rest)
    }

    /// Invents a name.
    fn name(&mut self, flat: &Flat, slot: Slot<'_>, turn: usize) -> Option<String> {
        let patterns: Vec<&str> = flat.entries("patternProperties").map(|(pattern, _)| pattern).collect();
        let closed = flat.get("additionalProperties") == Some(&Value::Bool(false));
        let schema = if let Some(names) = flat.get("propertyNames") {
            and(names, &json!({ "type": "string" }))
        } else if !patterns.is_empty() && (closed || self.rng.random_bool(0.5)) {
            let pattern = patterns[self.rng.random_range(0..patterns.len())];
            json!({ "type": "string", "pattern": pattern, "maxLength": MAX_NAME_CHARS })
        } else {
            let word = self.texts.word(&mut self.rng);
            return Some(if turn > PLAIN_NAME_TRIES { format!("{word}_{turn}") } else { word });
        };
        let name = self.value(&schema, Slot { sensible: false, ..slot.below("key") })?;
        name.as_str().map(str::to_owned)
    }
}

/// Returns the names of properties that may have a value.
fn properties(flat: &Flat) -> impl Iterator<Item = &str> {
    flat.entries("properties").filter(|(_, schema)| **schema != Value::Bool(false)).map(|(name, _)| name)
}

/// Returns the required names and those that they require.
fn required(flat: &Flat) -> Vec<&str> {
    let mut names = strings(flat.get("required"));
    let mut done = 0;
    while let Some(name) = names.get(done) {
        let mut dependents = strings(flat.get("dependentRequired").and_then(|dependents| dependents.get(name)));
        dependents.retain(|name| !names.contains(name));
        names.append(&mut dependents);
        done += 1;
    }
    names
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
