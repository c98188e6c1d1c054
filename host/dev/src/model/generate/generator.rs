//! One attempt at an instance: makes the value of each node by its type.

use rand::{Rng, rngs::StdRng};
use serde_json::{Value, json};

use super::flat::Flat;
use crate::model::{schema::Schema, text_source::TextSource, transcript::Transcript};

/// From this depth on, the smallest allowed value is made, so that recursive schemas end.
const SMALLEST_VALUES_DEPTH: usize = 7;

/// A branch that needs more depth is given up.
const MAX_DEPTH: usize = 48;

const TRIES_PER_NODE: usize = 10;
const TRIES_PER_DEEP_NODE: usize = 3;

/// The property or item that a value is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'n> {
    /// The property's name; items carry their list's. Empty at the root.
    pub(super) name: &'n str,
    pub(super) depth: usize,
    /// Makes sensible choices instead of random ones.
    pub(super) sensible: bool,
}

impl<'n> Slot<'n> {
    pub(super) fn below(self, name: &'n str) -> Self {
        Self { name, depth: self.depth + 1, ..self }
    }

    pub(super) fn is_deep(self) -> bool {
        self.depth >= SMALLEST_VALUES_DEPTH
    }
}

pub(super) struct Generator<'a> {
    pub(super) schema: &'a Schema,
    pub(super) texts: TextSource<'a>,
    pub(super) rng: StdRng,
    /// Nodes that may still be visited.
    pub(super) steps: usize,
}

impl<'a> Generator<'a> {
    pub(super) fn new(schema: &'a Schema, transcript: &'a Transcript, rng: StdRng, steps: usize) -> Self {
        Self { schema, texts: TextSource::new(transcript), rng, steps }
    }

    pub(super) fn root(&mut self, sensible: bool) -> Option<Value> {
        self.value(self.schema.root(), Slot { name: "", depth: 0, sensible })
    }

    pub(super) fn value(&mut self, schema: &Value, slot: Slot<'_>) -> Option<Value> {
        if slot.depth > MAX_DEPTH {
            return None;
        }
        let tries = if slot.is_deep() { TRIES_PER_DEEP_NODE } else { TRIES_PER_NODE };
        for attempt in 0..tries {
            self.steps = self.steps.checked_sub(1)?;
            let slot = Slot { sensible: slot.sensible && attempt == 0, ..slot };
            let Some(flat) = self.flatten(schema, slot, 0) else { continue };
            let value = self.instance(&flat, slot);
            if let Some(value) = value.filter(|value| !flat.uncertain || self.schema.part_allows(schema, value)) {
                return Some(value);
            }
        }
        None
    }

    fn instance(&mut self, flat: &Flat, slot: Slot<'_>) -> Option<Value> {
        if let Some(only) = flat.get("const") {
            return self.schema.part_allows(&flat.assertions(), only).then(|| only.clone());
        }
        if let Some(values) = flat.get("enum").and_then(Value::as_array) {
            return self.choose(flat, values, slot);
        }
        let mut types = flat.types();
        self.order(&mut types, slot);
        types.into_iter().find_map(|name| match name {
            "null" => Some(Value::Null),
            "boolean" => Some(json!(self.rng.random_bool(0.5))),
            "integer" | "number" => self.number(flat, name == "integer", slot),
            "string" => self.string(flat, slot).map(Value::String),
            "array" => self.array(flat, slot),
            "object" => self.object(flat, slot),
            _ => None,
        })
    }

    fn choose(&mut self, flat: &Flat, values: &[Value], slot: Slot<'_>) -> Option<Value> {
        let part = flat.assertions();
        let mut allowed: Vec<&Value> = values.iter().filter(|value| self.schema.part_allows(&part, value)).collect();
        if allowed.len() > 1 && slot.sensible && self.texts.knows(slot.name) {
            allowed.retain(|value| !value.is_null());
        }
        let fitting = if slot.sensible { self.texts.choose(slot.name, &allowed) } else { None };
        let any = || (!allowed.is_empty()).then(|| allowed[self.rng.random_range(0..allowed.len())]);
        fitting.or_else(any).cloned()
    }

    /// Puts the type to try first in front.
    fn order(&mut self, types: &mut [&str], slot: Slot<'_>) {
        const BY_SIZE: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
        if slot.is_deep() {
            types.sort_by_key(|name| BY_SIZE.iter().position(|known| known == name));
            return;
        }
        if !slot.sensible {
            types.rotate_left(self.rng.random_range(0..types.len().max(1)));
        }
        let null_first = if slot.sensible { !self.texts.knows(slot.name) } else { self.rng.random_bool(0.15) };
        types.sort_by_key(|name| (*name == "null") != null_first);
    }
}
