//! Objects: which properties, under which names, about which statement of the transcript.

use rand::Rng;
use serde_json::{Map, Value, json};

use super::{Generator, Place, flatten::Flat, merge::and};
use crate::model::kind::Kind;

/// Entries of a map whose keys the schema leaves open.
const ENTRIES_OF_A_MAP: usize = 2;

/// Optional properties are left out below this depth.
const RICH: usize = 5;

/// Tries to invent a name that is free and allowed.
const NAME_TRIES: usize = 24;

impl Generator<'_> {
    pub(super) fn object(&mut self, flat: &Flat, place: Place<'_>) -> Option<Value> {
        let names: Vec<&str> = properties(flat).map(|(name, _)| name).collect();
        let says_it_itself =
            names.iter().any(|name| Kind::of(name) == Kind::of(place.name) && Kind::of(name) != Kind::Sentence);
        let entered = place.depth > 0 && self.voice.enter(place.name, says_it_itself);
        let made = self.fill(flat, place);
        if entered {
            self.voice.leave();
        }
        made.map(Value::Object)
    }

    fn fill(&mut self, flat: &Flat, place: Place<'_>) -> Option<Map<String, Value>> {
        let max = flat.size("maxProperties").unwrap_or(usize::MAX);
        let mut object = Map::new();
        let required = required(flat);
        for name in &required {
            if !self.add(&mut object, flat, name, place) {
                return None;
            }
        }
        let optional: Vec<&str> =
            properties(flat).map(|(name, _)| name).filter(|name| !required.iter().any(|r| r == name)).collect();
        for name in &optional {
            let wanted = if place.sensible { self.voice.knows(name) } else { self.rng.random_bool(0.6) };
            if wanted && place.depth < RICH && object.len() < max {
                self.add_with_dependents(&mut object, flat, name, place, max);
            }
        }
        let map = properties(flat).next().is_none()
            && (flat.get("additionalProperties").is_some_and(Value::is_object)
                || flat.get("patternProperties").is_some());
        let wanted = if map && place.depth < RICH { ENTRIES_OF_A_MAP } else { 0 };
        let min = flat.size("minProperties").unwrap_or(0);
        for name in optional {
            if object.len() < min {
                self.add_with_dependents(&mut object, flat, name, place, max);
            }
        }
        let mut tries = 0;
        while object.len() < min.max(wanted).min(max) && tries < NAME_TRIES + 2 * min {
            tries += 1;
            if let Some(name) = self.name(flat, place, tries)
                && !object.contains_key(&name)
            {
                self.add(&mut object, flat, &name, place);
            }
        }
        (object.len() >= min && object.len() <= max).then_some(object)
    }

    /// Adds a property together with those that it requires; leaves the object as it was where that does not work.
    fn add_with_dependents(
        &mut self,
        object: &mut Map<String, Value>,
        flat: &Flat,
        name: &str,
        place: Place<'_>,
        max: usize,
    ) {
        let before = object.clone();
        let mut names = vec![name.to_owned()];
        close_over_dependents(flat, &mut names);
        let all = names.iter().all(|name| object.contains_key(name) || self.add(object, flat, name, place));
        if !all || object.len() > max {
            *object = before;
        }
    }

    /// Adds one property; `false` where its name or every value is forbidden.
    fn add(&mut self, object: &mut Map<String, Value>, flat: &Flat, name: &str, place: Place<'_>) -> bool {
        if flat.get("propertyNames").is_some_and(|names| !self.schema.part_allows(names, &json!(name))) {
            return false;
        }
        let schema = self.property(flat, name);
        match self.value(&schema, place.below(name)) {
            Some(value) => {
                object.insert(name.to_owned(), value);
                true
            }
            None => false,
        }
    }

    /// Everything that the schema says about the value under a name.
    fn property(&self, flat: &Flat, name: &str) -> Value {
        let mut found = flat.get("properties").and_then(|properties| properties.get(name)).cloned();
        for (pattern, schema) in flat.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
            if self.schema.part_allows(&json!({ "pattern": pattern }), &json!(name)) {
                found = Some(found.map_or_else(|| schema.clone(), |known| and(&known, schema)));
            }
        }
        found.or_else(|| flat.get("additionalProperties").cloned()).unwrap_or(Value::Bool(true))
    }

    /// Invents a name.
    fn name(&mut self, flat: &Flat, place: Place<'_>, turn: usize) -> Option<String> {
        if let Some(names) = flat.get("propertyNames") {
            let schema = and(names, &json!({ "type": "string" }));
            let name = self.value(&schema, Place { name: "key", sensible: false, ..place }.below("key"))?;
            return name.as_str().map(str::to_owned);
        }
        let patterns: Vec<String> = flat
            .get("patternProperties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(pattern, _)| pattern.clone())
            .collect();
        let closed = flat.get("additionalProperties") == Some(&Value::Bool(false));
        if !patterns.is_empty() && (closed || self.rng.random_bool(0.5)) {
            let pattern = &patterns[self.rng.random_range(0..patterns.len())];
            let schema = json!({ "type": "string", "pattern": pattern, "maxLength": 40 });
            let name = self.value(&schema, Place { name: "key", sensible: false, ..place }.below("key"))?;
            return name.as_str().map(str::to_owned);
        }
        let word = self.voice.word(&mut self.rng);
        Some(if turn > 4 { format!("{word}_{turn}") } else { word })
    }
}

fn properties(flat: &Flat) -> impl Iterator<Item = (&str, &Value)> {
    flat.get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, schema)| **schema != Value::Bool(false))
        .map(|(name, schema)| (name.as_str(), schema))
}

fn required(flat: &Flat) -> Vec<String> {
    let listed = flat
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    let mut names: Vec<String> = listed.collect();
    close_over_dependents(flat, &mut names);
    names
}

/// Adds what `dependentRequired` asks for, until nothing is missing.
fn close_over_dependents(flat: &Flat, names: &mut Vec<String>) {
    let Some(dependents) = flat.get("dependentRequired").and_then(Value::as_object) else { return };
    let mut done = 0;
    while done < names.len() {
        for name in
            dependents.get(&names[done]).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        done += 1;
    }
}
