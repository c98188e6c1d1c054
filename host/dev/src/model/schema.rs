//! A JSON Schema, compiled once: its validator, its references, and validators for parts of it.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, Result};
use jsonschema::{Registry, Uri, Validator};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// The address of a schema without an absolute `$id`.
const DEFAULT_ID: &str = "urn:stand-in:root";

/// A schema that answers can be generated for.
#[derive(Debug)]
pub struct Schema {
    /// With absolute references, so that its parts can be moved.
    root: Value,
    id: Uri<String>,
    registry: Registry<'static>,
    validator: Validator,
    /// `None` if a part cannot be compiled.
    part_validators: Mutex<HashMap<String, Option<Arc<Validator>>>>,
}

impl Schema {
    /// Compiles a schema, with assertions for `format`.
    ///
    /// # Errors
    /// If the document is not a JSON Schema, or refers to another document.
    pub fn compile(schema: &Value) -> Result<Self> {
        let mut root = schema.clone();
        let id = schema["$id"].as_str().filter(|id| id.contains(':')).map_or(DEFAULT_ID, |id| id.trim_end_matches('#'));
        make_absolute(&mut root, id);
        if let Some(object) = root.as_object_mut() {
            object.insert("$id".to_owned(), json!(id));
        }
        // The errors of the compiler quote the schema, which belongs to the owner of the prompt.
        let validator = jsonschema::options().should_validate_formats(true).build(&root).ok();
        let validator = validator.context("not a JSON Schema that can be compiled")?;
        let registry = Registry::new().add(id, root.clone()).ok().and_then(|all| all.prepare().ok());
        let registry = registry.context("references that cannot be resolved")?;
        let id = jsonschema::uri::from_str(id).ok().context("an `$id` that is not a URI")?;
        Ok(Self { root, id, registry, validator, part_validators: Mutex::default() })
    }

    /// Returns whether an instance satisfies the schema.
    pub fn allows(&self, instance: &Value) -> bool {
        self.validator.is_valid(instance)
    }

    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// Returns whether `instance` satisfies `part`, made of parts of this schema, or `true` if `part` cannot be compiled:
    /// the whole answer is checked at the end.
    pub(super) fn part_allows(&self, part: &Value, instance: &Value) -> bool {
        let key = part.to_string();
        let known = self.part_validators.lock().get(&key).cloned();
        let validator = known.unwrap_or_else(|| {
            let options = jsonschema::options().with_registry(&self.registry);
            let compiled = options.should_validate_formats(true).build(part).ok().map(Arc::new);
            self.part_validators.lock().insert(key, compiled.clone());
            compiled
        });
        validator.is_none_or(|validator| validator.is_valid(instance))
    }

    /// Follows the `$ref` of a part, if it has one.
    pub(super) fn target(&self, part: &Map<String, Value>) -> Option<&Value> {
        let reference = part.get("$ref")?.as_str()?;
        self.registry.resolver(self.id.clone()).lookup(reference).ok().map(|found| found.contents())
    }
}

/// Makes references within a document absolute. A subschema with its own `$id` is another document.
fn make_absolute(schema: &mut Value, id: &str) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(reference) if key == "$ref" && reference.starts_with('#') => {
                        reference.insert_str(0, id);
                    }
                    // Instances, not schemas.
                    _ if matches!(key.as_str(), "const" | "enum" | "default" | "examples") => {}
                    _ if value["$id"].is_string() => {}
                    _ => make_absolute(value, id),
                }
            }
        }
        Value::Array(items) => {
            items.iter_mut().filter(|item| !item["$id"].is_string()).for_each(|item| make_absolute(item, id))
        }
        _ => {}
    }
}
