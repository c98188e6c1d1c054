//! Generates an instance of a JSON Schema, with the words of a transcript.
//!
//! Each node is first flattened (references followed, branches chosen, all merged into one set of keywords), then a value is made from the
//! keywords. What merging cannot express (`oneOf`, `not`, `if`) is checked by a validator afterwards, and tried again with other choices.

mod array;
mod flatten;
mod format;
mod height;
mod merge;
mod number;
mod object;
mod pattern;
mod string;

use rand::{Rng, rngs::StdRng};
use serde_json::{Value, json};

use super::{schema::Schema, transcript::Transcript, voice::Voice};
use flatten::Flat;

/// From this depth on the smallest thing that is allowed is made, so that recursive schemas end.
const DEEP: usize = 7;

/// Nothing is made below this depth; a branch that needs more is given up.
const DEEPEST: usize = 48;

/// Tries for one node with other choices.
const TRIES: usize = 10;

/// Nodes that all attempts at one answer may visit together, tries included: bounds the work for a schema that has no instance.
pub(super) const STEPS: usize = 24_000;

/// Nodes that one attempt may visit, so that a bad start leaves room for another.
const STEPS_OF_AN_ATTEMPT: usize = 8_000;

/// Where a value goes.
#[derive(Debug, Clone, Copy)]
struct Place<'n> {
    /// The property's name; items carry their list's. Empty at the root.
    name: &'n str,
    depth: usize,
    /// Make the most sensible choice, rather than a random one.
    sensible: bool,
}

impl<'n> Place<'n> {
    fn below(self, name: &'n str) -> Self {
        Self { name, depth: self.depth + 1, sensible: self.sensible }
    }

    fn is_deep(self) -> bool {
        self.depth >= DEEP
    }
}

/// Makes one instance.
pub(super) struct Generator<'a> {
    schema: &'a Schema,
    voice: Voice<'a>,
    rng: StdRng,
    sensible: bool,
    /// Nodes that may still be visited.
    steps: usize,
}

impl<'a> Generator<'a> {
    /// The first attempts (from 0) make sensible choices, later ones vary.
    pub(super) fn new(schema: &'a Schema, transcript: &'a Transcript, rng: StdRng, attempt: u64) -> Self {
        Self { schema, voice: Voice::new(transcript), rng, sensible: attempt < 2, steps: 0 }
    }

    /// An instance of the whole schema; `None` where none was found. Takes the nodes that it visits from `budget`.
    pub(super) fn root(&mut self, budget: &mut usize) -> Option<Value> {
        let allowed = STEPS_OF_AN_ATTEMPT.min(*budget);
        self.steps = allowed;
        let place = Place { name: "", depth: 0, sensible: self.sensible };
        let made = self.value(self.schema.root(), place);
        *budget -= allowed - self.steps;
        made
    }

    fn value(&mut self, schema: &Value, place: Place<'_>) -> Option<Value> {
        if place.depth > DEEPEST {
            return None;
        }
        let tries = if place.is_deep() { 3 } else { TRIES };
        for attempt in 0..tries {
            self.steps = self.steps.checked_sub(1)?;
            let place = Place { sensible: place.sensible && attempt == 0, ..place };
            let Some(flat) = self.flatten(schema, place, 0) else { continue };
            if let Some(value) = self.instance(&flat, place)
                && (!flat.uncertain || self.schema.part_allows(schema, &value))
            {
                return Some(value);
            }
        }
        None
    }

    fn instance(&mut self, flat: &Flat, place: Place<'_>) -> Option<Value> {
        if let Some(only) = flat.get("const") {
            return self.schema.part_allows(&flat.as_schema(), only).then(|| only.clone());
        }
        if let Some(values) = flat.get("enum").and_then(Value::as_array) {
            return self.choose(flat, values, place);
        }
        let mut types = flat.types();
        self.order(&mut types, place);
        types.iter().find_map(|name| match *name {
            "null" => Some(Value::Null),
            "boolean" => Some(json!(self.rng.random_bool(0.5))),
            "integer" => self.number(flat, true, place),
            "number" => self.number(flat, false, place),
            "string" => self.string(flat, place).map(Value::String),
            "array" => self.array(flat, place),
            "object" => self.object(flat, place),
            _ => None,
        })
    }

    fn choose(&mut self, flat: &Flat, values: &[Value], place: Place<'_>) -> Option<Value> {
        let part = flat.as_schema();
        let mut allowed: Vec<&Value> = values.iter().filter(|value| self.schema.part_allows(&part, value)).collect();
        if allowed.len() > 1 && place.sensible && self.voice.knows(place.name) {
            allowed.retain(|value| !value.is_null());
        }
        if place.sensible
            && let Some(fitting) = self.voice.choose(place.name, &allowed)
        {
            return Some(fitting.clone());
        }
        (!allowed.is_empty()).then(|| allowed[self.rng.random_range(0..allowed.len())].clone())
    }

    /// Puts the type to try first in front.
    fn order(&mut self, types: &mut [&str], place: Place<'_>) {
        const BY_SIZE: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
        if place.is_deep() {
            types.sort_by_key(|name| BY_SIZE.iter().position(|known| known == name));
            return;
        }
        if !place.sensible {
            let shift = self.rng.random_range(0..types.len().max(1));
            types.rotate_left(shift);
        }
        let null_first = if place.sensible { !self.voice.knows(place.name) } else { self.rng.random_bool(0.15) };
        types.sort_by_key(|name| (*name == "null") != null_first);
    }
}
