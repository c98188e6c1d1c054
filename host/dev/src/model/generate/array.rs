//! Arrays: how many items, fixed positions, items that must be contained, no two alike.

use rand::Rng;
use serde_json::{Value, json};

use super::{
    flat::{Flat, and},
    generator::{Generator, Slot},
};

/// Tries for an item unlike those before it.
const TRIES_PER_UNIQUE_ITEM: usize = 24;

/// The first tries take sentences in order, later ones any words.
const SENSIBLE_TRIES_PER_ITEM: usize = 3;

/// The longest list that no keyword asks for.
const MAX_UNASKED_ITEMS: usize = 12;

impl Generator<'_> {
    pub(super) fn array(&mut self, flat: &Flat, slot: Slot<'_>) -> Option<Value> {
        let prefix = flat.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let rest = flat.get("items").unwrap_or(&Value::Bool(true));
        let contains = flat.get("contains");
        let contained = contains.map_or(0, |_| flat.size("minContains").unwrap_or(1));
        let min = flat.size("minItems").unwrap_or(0);
        let max = flat.size("maxItems").unwrap_or(usize::MAX);
        let max = if *rest == Value::Bool(false) { max.min(prefix.len()) } else { max };
        if min.max(contained) > max {
            return None;
        }
        let wanted = if slot.is_deep() {
            0
        } else if !prefix.is_empty() {
            prefix.len() + contained
        } else if slot.sensible {
            self.texts.count(slot.name)
        } else {
            self.rng.random_range(0..=3)
        };
        let length = wanted.min(MAX_UNASKED_ITEMS).clamp(min.max(contained), max);

        let unique = flat.get("uniqueItems") == Some(&Value::Bool(true));
        let mut items: Vec<Value> = Vec::with_capacity(length);
        for position in 0..length {
            let mut schema = prefix.get(position).unwrap_or(rest).clone();
            match contains {
                Some(contains) if position + contained >= length => schema = and(&schema, contains),
                Some(contains) if flat.get("maxContains").is_some() => {
                    schema = and(&schema, &json!({ "not": contains }));
                }
                _ => {}
            }
            match self.item(&schema, slot, unique, &items) {
                Some(item) => items.push(item),
                None if position >= min && contained == 0 => break,
                None => return None,
            }
        }
        Some(Value::Array(items))
    }

    fn item(&mut self, schema: &Value, slot: Slot<'_>, unique: bool, before: &[Value]) -> Option<Value> {
        let tries = if unique { TRIES_PER_UNIQUE_ITEM } else { 1 };
        (0..tries).find_map(|attempt| {
            let sensible = slot.sensible && attempt < SENSIBLE_TRIES_PER_ITEM;
            let item = self.value(schema, Slot { sensible, ..slot.below(slot.name) });
            item.filter(|item| !unique || !before.contains(item))
        })
    }
}
