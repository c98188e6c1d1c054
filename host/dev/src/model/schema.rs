//! A JSON Schema, compiled once: the root validator, the way along references, and validators for parts of it.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Result, anyhow};
use jsonschema::Validator;
use parking_lot::Mutex;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Map, Value, json};

use super::{
    generate::{Generator, STEPS},
    transcript::Transcript,
};

/// The name under which parts of a schema find its root.
const ROOT: &str = "urn:stand-in:root";

/// How many whole answers are tried. Each is checked; the first that holds is given.
const ATTEMPTS: u64 = 24;

/// A schema that answers can be generated for.
#[derive(Debug)]
pub struct Schema {
    /// With references within the document made absolute.
    root: Value,
    id: String,
    validator: Validator,
    parts: Mutex<HashMap<String, Option<Arc<Validator>>>>,
}

impl Schema {
    /// Compiles a schema; `format` is asserted.
    ///
    /// # Errors
    /// Where the document is no JSON Schema, or refers to a document elsewhere.
    pub fn compile(schema: &Value) -> Result<Self> {
        let mut root = schema.clone();
        let id = match schema.get("$id").and_then(Value::as_str) {
            Some(id) if id.contains(':') => id.trim_end_matches('#').to_owned(),
            _ => ROOT.to_owned(),
        };
        make_absolute(&mut root, &id, true);
        if let Some(object) = root.as_object_mut() {
            object.insert("$id".to_owned(), json!(id));
        }
        // Messages of the validator may quote the schema; it comes from a prompt, so it goes nowhere but into the answer.
        let validator = validator(&root).ok_or_else(|| anyhow!("not a JSON Schema that can be compiled"))?;
        Ok(Self { root, id, validator, parts: Mutex::new(HashMap::new()) })
    }

    /// An instance for the words of `text`. The same schema, text and seed give the same instance.
    ///
    /// Returns the last attempt where none satisfies the schema (some have no instances at all).
    pub fn instance(&self, text: &str, seed: u64) -> Value {
        self.answer(&Transcript::find(text), seed)
    }

    /// As [`Self::instance`], for a transcript already read.
    pub(super) fn answer(&self, transcript: &Transcript, seed: u64) -> Value {
        let mut last = Value::Null;
        let mut budget = STEPS;
        for attempt in 0..ATTEMPTS {
            let rng = StdRng::seed_from_u64(seed.wrapping_add(attempt.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
            if let Some(instance) = Generator::new(self, transcript, rng, attempt).root(&mut budget) {
                if self.allows(&instance) {
                    return instance;
                }
                last = instance;
            }
        }
        tracing::warn!("stand-in found no answer that satisfies the schema");
        last
    }

    /// Whether an instance satisfies the schema.
    pub fn allows(&self, instance: &Value) -> bool {
        self.validator.is_valid(instance)
    }

    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// Whether `instance` satisfies `part`, a schema made of this one's parts. Unknown counts as yes: the whole answer is checked at the end.
    pub(super) fn part_allows(&self, part: &Value, instance: &Value) -> bool {
        match part {
            Value::Bool(any) => return *any,
            Value::Object(keywords) if keywords.is_empty() => return true,
            _ => {}
        }
        let key = part.to_string();
        let known = self.parts.lock().get(&key).cloned();
        let validator = known.unwrap_or_else(|| {
            let made = self.part_validator(part).map(Arc::new);
            self.parts.lock().insert(key, made.clone());
            made
        });
        validator.is_none_or(|validator| validator.is_valid(instance))
    }

    fn part_validator(&self, part: &Value) -> Option<Validator> {
        let mut whole = Map::new();
        let dialect = self.root.get("$schema");
        let definitions = match dialect.and_then(Value::as_str) {
            Some(draft) if draft.contains("draft-0") => "definitions",
            _ => "$defs",
        };
        if let Some(dialect) = dialect {
            whole.insert("$schema".to_owned(), dialect.clone());
        }
        // The root is needed only where the part refers to it; leaving it out makes most parts cheap.
        if mentions(part, &self.id) {
            whole.insert(definitions.to_owned(), json!({ "root": self.root }));
        }
        whole.insert("allOf".to_owned(), json!([part]));
        validator(&Value::Object(whole))
    }

    /// Follows a reference.
    pub(super) fn resolve(&self, reference: &str) -> Option<&Value> {
        let fragment = match reference.strip_prefix(&self.id) {
            Some(rest) => rest.strip_prefix('#').unwrap_or(rest),
            None => match reference.strip_prefix('#') {
                Some(fragment) => fragment,
                None => {
                    return find(&self.root, &|object| object.get("$id").and_then(Value::as_str) == Some(reference));
                }
            },
        };
        let fragment = percent_decode(fragment);
        if fragment.is_empty() || fragment.starts_with('/') {
            return self.root.pointer(&fragment);
        }
        find(&self.root, &|object| {
            ["$anchor", "$dynamicAnchor"].iter().any(|key| object.get(*key).and_then(Value::as_str) == Some(&fragment))
        })
    }
}

fn validator(schema: &Value) -> Option<Validator> {
    jsonschema::options().should_validate_formats(true).build(schema).ok()
}

/// Makes references within the document absolute, so that parts of it can be moved. A subschema with an `$id` of its own is left alone.
fn make_absolute(schema: &mut Value, id: &str, is_root: bool) {
    match schema {
        Value::Object(object) => {
            if !is_root && object.get("$id").is_some_and(Value::is_string) {
                return;
            }
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(reference) if key == "$ref" && reference.starts_with('#') => {
                        reference.insert_str(0, id)
                    }
                    // Instances, not schemas.
                    _ if matches!(key.as_str(), "const" | "enum" | "default" | "examples") => {}
                    _ => make_absolute(value, id, false),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| make_absolute(item, id, false)),
        _ => {}
    }
}

fn mentions(schema: &Value, id: &str) -> bool {
    match schema {
        Value::Object(object) => object.iter().any(|(key, value)| {
            key.ends_with("ef") && value.as_str().is_some_and(|r| r.starts_with(id)) || mentions(value, id)
        }),
        Value::Array(items) => items.iter().any(|item| mentions(item, id)),
        _ => false,
    }
}

fn find<'v>(value: &'v Value, is_it: &dyn Fn(&Map<String, Value>) -> bool) -> Option<&'v Value> {
    match value {
        Value::Object(object) if is_it(object) => Some(value),
        Value::Object(object) => object.values().find_map(|value| find(value, is_it)),
        Value::Array(items) => items.iter().find_map(|item| find(item, is_it)),
        _ => None,
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
