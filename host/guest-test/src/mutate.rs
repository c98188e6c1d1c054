//! Mutations of documents: on nearly valid documents two checks of one schema are most likely to disagree.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Number, Value};

/// An endless iterator over mutations of a document. The same seed gives the same ones.
pub(crate) struct Mutations<'a> {
    document: &'a Value,
    random: StdRng,
}

impl<'a> Mutations<'a> {
    pub(crate) fn of(document: &'a Value, seed: u64) -> Self {
        Self { document, random: StdRng::seed_from_u64(seed) }
    }
}

impl Iterator for Mutations<'_> {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut document = self.document.clone();
        for _ in 0..self.random.random_range(1..=3) {
            let places = count(&document);
            let place = self.random.random_range(0..places);
            mutate(&mut document, place, &mut self.random);
        }
        Some(document)
    }
}

/// Counts the values in a document, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Changes the value at `place`, counted as [`count`] does.
fn mutate(value: &mut Value, place: usize, random: &mut StdRng) {
    if place == 0 {
        return change(value, random);
    }
    let mut left = place - 1;
    let children: Box<dyn Iterator<Item = &mut Value>> = match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(fields) => Box::new(fields.values_mut()),
        _ => return,
    };
    for child in children {
        let inside = count(child);
        if left < inside {
            return mutate(child, left, random);
        }
        left -= inside;
    }
}

fn change(value: &mut Value, random: &mut StdRng) {
    // Half of the changes keep the kind of the value.
    if random.random_bool(0.5) {
        *value = any(random);
        return;
    }
    match value {
        Value::Null => *value = Value::Bool(false),
        Value::Bool(is) => *is = !*is,
        Value::Number(number) => {
            let near = number.as_f64().unwrap_or(0.0);
            *value = [near + 1.0, near - 1.0, -near, near + 0.5, near * 1e12, 0.0]
                .choose(random)
                .and_then(|number| Number::from_f64(*number))
                .map_or(Value::Null, Value::Number);
        }
        Value::String(text) => *text = change_text(text, random),
        Value::Array(items) => change_items(items, random),
        Value::Object(fields) => change_fields(fields, random),
    }
}

fn change_text(text: &str, random: &mut StdRng) -> String {
    let half: String = text.chars().take(text.chars().count() / 2).collect();
    match random.random_range(0..7) {
        0 => String::new(),
        1 => half,
        2 => text.repeat(random.random_range(2..200)),
        3 => format!("{text} "),
        4 => text.to_uppercase(),
        5 => "2026-02-30".to_owned(),
        _ => format!("{text}\u{1F600}\u{0}é"),
    }
}

fn change_items(items: &mut Vec<Value>, random: &mut StdRng) {
    let first = items.first().cloned().unwrap_or_else(|| any(random));
    match random.random_range(0..4) {
        0 => items.clear(),
        1 => drop(items.pop()),
        2 => items.push(any(random)),
        // Duplicates, and more than a list should have.
        _ => items.extend(std::iter::repeat_n(first, random.random_range(1..60))),
    }
}

fn change_fields(fields: &mut Map<String, Value>, random: &mut StdRng) {
    let names: Vec<String> = fields.keys().cloned().collect();
    let name = names.choose(random).cloned().unwrap_or_default();
    match random.random_range(0..3) {
        0 => drop(fields.remove(&name)),
        1 => drop(fields.insert(format!("{name}_"), any(random))),
        _ => {
            if let Some(value) = fields.remove(&name) {
                fields.insert(name.to_uppercase(), value);
            }
        }
    }
}

fn any(random: &mut StdRng) -> Value {
    match random.random_range(0..8) {
        0 => Value::Null,
        1 => Value::Bool(true),
        2 => Value::from(random.random_range(-3..1000)),
        3 => Value::from(0.1),
        4 => Value::from(""),
        5 => Value::from("word"),
        6 => Value::Array(vec![Value::Null]),
        _ => Value::Object(Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn mutations_differ_from_each_other_and_are_the_same_for_the_same_seed() {
        let document = json!({"title": "Talk", "steps": [{"owner": "Anna", "days": 3}], "done": false, "risk": null});
        let first: Vec<_> = Mutations::of(&document, 1).take(200).collect();
        assert_eq!(first, Mutations::of(&document, 1).take(200).collect::<Vec<_>>());
        assert_ne!(first, Mutations::of(&document, 2).take(200).collect::<Vec<_>>());
        let different: HashSet<String> = first.iter().map(Value::to_string).collect();
        assert!(different.len() > 150, "{}", different.len());
        assert!(first.iter().all(|mutation| mutation.is_object() || !mutation.to_string().is_empty()));
    }

    #[test]
    fn every_place_of_a_document_is_reached() {
        let document = json!([1, [2, {"a": 3}]]);
        assert_eq!(count(&document), 6);
        for place in 0..6 {
            let mut random = StdRng::seed_from_u64(7);
            let mut changed = document.clone();
            let tried = (0..20).any(|_| {
                mutate(&mut changed, place, &mut random);
                changed != document
            });
            assert!(tried, "{place}");
        }
    }
}
