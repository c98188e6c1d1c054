//! Turns a schema into one flat set of keywords: follows references, chooses branches, merges the rest.

use rand::{Rng, seq::SliceRandom};
use serde_json::{Map, Value, json};

use super::{
    flat::{Flat, list},
    generator::{Generator, Slot},
    min_depth::min_depth,
};

/// References followed and branches entered on the way to one node.
const MAX_NESTING: usize = 48;

impl Generator<'_> {
    /// Flattens a schema; returns `None` if the choices made contradict each other.
    pub(super) fn flatten(&mut self, schema: &Value, slot: Slot<'_>, nesting: usize) -> Option<Flat> {
        let object = match schema {
            Value::Bool(true) => return Some(Flat::default()),
            Value::Object(object) if nesting <= MAX_NESTING => object,
            _ => return None,
        };
        let mut flat = Flat::own_keywords(object);
        // Dependent schemas are followed even without their property: that allows less, but never too much.
        let dependents = object.get("dependentSchemas").and_then(Value::as_object);
        let dependents = dependents.into_iter().flatten().map(|(_, schema)| schema);
        for part in self.schema.target(object).into_iter().chain(list(object, "allOf")).chain(dependents) {
            flat = flat.merge(self.flatten(part, slot, nesting + 1)?)?;
        }
        for keyword in ["anyOf", "oneOf"] {
            if object.contains_key(keyword) {
                let branches = self.order_branches(list(object, keyword), slot);
                flat = self.merge_one(flat, branches, slot, nesting)?;
                flat.uncertain |= keyword == "oneOf";
            }
        }
        if let Some(condition) = object.get("if") {
            let [holds, fails] = alternatives(condition, object);
            let branches = if self.rng.random_bool(0.5) { [&holds, &fails] } else { [&fails, &holds] };
            flat = self.merge_one(flat, branches.to_vec(), slot, nesting)?;
            flat.uncertain = true;
        }
        if let Some(forbidden) = object.get("not") {
            flat.add_unmerged(json!({ "not": forbidden }));
        }
        Some(flat.close())
    }

    fn order_branches<'v>(&mut self, branches: &'v [Value], slot: Slot<'_>) -> Vec<&'v Value> {
        let mut order: Vec<&Value> = branches.iter().collect();
        if slot.is_deep() {
            order.sort_by_cached_key(|branch| min_depth(self.schema, branch, 0));
        } else if slot.sensible {
            let null_first = slot.depth > 0 && !self.texts.knows(slot.name);
            order.sort_by_key(|branch| is_null(branch) != null_first);
        } else {
            order.shuffle(&mut self.rng);
        }
        order
    }

    /// Merges the first branch that does not contradict.
    fn merge_one(&mut self, flat: Flat, branches: Vec<&Value>, slot: Slot<'_>, nesting: usize) -> Option<Flat> {
        branches.into_iter().find_map(|branch| flat.clone().merge(self.flatten(branch, slot, nesting + 1)?))
    }
}

/// Writes a condition as two branches: it holds, or it does not.
fn alternatives(condition: &Value, object: &Map<String, Value>) -> [Value; 2] {
    let branch = |keyword| object.get(keyword).unwrap_or(&Value::Bool(true));
    [json!({ "allOf": [condition, branch("then")] }), json!({ "allOf": [branch("else")], "not": condition })]
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null" || schema.get("const").is_some_and(Value::is_null)
}
