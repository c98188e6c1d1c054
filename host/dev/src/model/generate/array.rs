//! Arrays: how many items, fixed positions, items that must be contained, no two alike.

use rand::Rng;
use serde_json::{Value, json};

use super::{Generator, Place, flatten::Flat, merge::and};

/// Tries for an item unlike those before it.
const UNIQUE_TRIES: usize = 24;

/// The longest list that is made without being asked for.
const LONGEST: usize = 12;

impl Generator<'_> {
    pub(super) fn array(&mut self, flat: &Flat, place: Place<'_>) -> Option<Value> {
        let prefix: Vec<Value> = flat.get("prefixItems").and_then(Value::as_array).cloned().unwrap_or_default();
        let rest = flat.get("items").cloned().unwrap_or(Value::Bool(true));
        let contains = flat.get("contains").filter(|_| flat.size("minContains") != Some(0));
        let needed = contains.map_or(0, |_| flat.size("minContains").unwrap_or(1));
        let length = self.length(flat, &prefix, &rest, needed, place)?;
        let unique = flat.get("uniqueItems") == Some(&Value::Bool(true));
        let min = flat.size("minItems").unwrap_or(0);

        let mut items: Vec<Value> = Vec::with_capacity(length);
        for position in 0..length {
            let mut schema = prefix.get(position).unwrap_or(&rest).clone();
            match flat.get("contains") {
                Some(contained) if position + needed >= length => schema = and(&schema, contained),
                Some(contained) if flat.get("maxContains").is_some() => {
                    schema = and(&schema, &json!({ "not": contained }))
                }
                _ => {}
            }
            match self.item(&schema, place, unique, &items) {
                Some(item) => items.push(item),
                None if position >= min && position + needed < length && needed == 0 => break,
                None => return None,
            }
        }
        Some(Value::Array(items))
    }

    fn length(
        &mut self,
        flat: &Flat,
        prefix: &[Value],
        rest: &Value,
        needed: usize,
        place: Place<'_>,
    ) -> Option<usize> {
        let min = flat.size("minItems").unwrap_or(0).max(needed);
        let mut max = flat.size("maxItems").unwrap_or(usize::MAX);
        if *rest == Value::Bool(false) {
            max = max.min(prefix.len());
        }
        if min > max {
            return None;
        }
        let wanted = if place.is_deep() {
            0
        } else if !prefix.is_empty() {
            prefix.len() + needed
        } else if place.sensible {
            self.voice.count(place.name)
        } else {
            self.rng.random_range(0..=3)
        };
        Some(wanted.min(LONGEST).clamp(min, max))
    }

    fn item(&mut self, schema: &Value, place: Place<'_>, unique: bool, before: &[Value]) -> Option<Value> {
        let tries = if unique { UNIQUE_TRIES } else { 1 };
        (0..tries).find_map(|attempt| {
            let below = Place { sensible: place.sensible && attempt < 3, ..place.below(place.name) };
            self.value(schema, below).filter(|item| !unique || !before.contains(item))
        })
    }
}
