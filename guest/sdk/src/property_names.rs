//! The property names that findings may show.

use std::collections::BTreeSet;

use serde_json::Value;

/// Holds the names that a schema gives to properties. Pointers and messages may show only these: any other name comes
/// from the document and may be as private as its values.
#[derive(Debug, Clone, Default)]
pub(crate) struct PropertyNames(BTreeSet<String>);

impl PropertyNames {
    /// Collects every name under `properties` and in `required`, anywhere in the schema.
    pub(crate) fn of(schema: &Value) -> Self {
        let mut names = BTreeSet::new();
        collect(schema, &mut names);
        Self(names)
    }

    /// Returns `pointer` with `*` for each segment that is neither an array index nor a known name.
    pub(crate) fn mask(&self, pointer: &str, document: &Value) -> String {
        let mut masked = String::with_capacity(pointer.len());
        let mut at = Some(document);
        for escaped in pointer.split('/').skip(1) {
            let name = escaped.replace("~1", "/").replace("~0", "~");
            let (shown, next) = match at {
                Some(Value::Array(items)) => (true, name.parse::<usize>().ok().and_then(|index| items.get(index))),
                Some(Value::Object(map)) => (self.0.contains(&name), map.get(&name)),
                _ => (false, None),
            };
            masked.push('/');
            masked.push_str(if shown { escaped } else { "*" });
            at = next;
        }
        masked
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                names.extend(properties.keys().cloned());
            }
            if let Some(Value::Array(required)) = map.get("required") {
                names.extend(required.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            map.values().for_each(|value| collect(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}
