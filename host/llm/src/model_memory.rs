//! Remembers what each model rejects, for the life of the process.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use parking_lot::{Mutex, RwLock};

use crate::adapted::{Adapted, SchemaForm};

/// The parts that each model of the endpoint has rejected.
///
/// A rejection of a schema is remembered for that schema only: the other guests keep their strict answers. The price is
/// one rejected request for each schema and process.
#[derive(Debug, Default)]
pub(crate) struct ModelMemory {
    models: RwLock<HashMap<String, Rejections>>,
    /// Models whose token counts were odd once.
    odd_counts: Mutex<HashSet<String>>,
}

#[derive(Debug, Default)]
struct Rejections {
    rejects_temperature: bool,
    wants_max_completion_tokens: bool,
    /// The form that each schema came down to.
    forms: HashMap<u64, SchemaForm>,
}

/// Schemas come from guests, so their number is bounded. After the bound, all are forgotten: one rejected request each.
const MAX_REMEMBERED_SCHEMAS: usize = 1024;

impl ModelMemory {
    /// Returns whether this is the first odd token count of the model.
    pub(crate) fn is_first_odd_count(&self, model: &str) -> bool {
        self.odd_counts.lock().insert(model.to_owned())
    }

    pub(crate) fn recall(&self, model: &str, schema: Option<&str>) -> Adapted {
        let models = self.models.read();
        let Some(known) = models.get(model) else {
            return Adapted::default();
        };
        Adapted {
            schema: schema.and_then(|schema| known.forms.get(&fingerprint(schema)).copied()).unwrap_or_default(),
            temperature_dropped: known.rejects_temperature,
            max_completion_tokens: known.wants_max_completion_tokens,
        }
    }

    pub(crate) fn remember(&self, model: &str, schema: Option<&str>, adapted: Adapted) {
        let mut models = self.models.write();
        let known = models.entry(model.to_owned()).or_default();
        known.rejects_temperature |= adapted.temperature_dropped;
        known.wants_max_completion_tokens |= adapted.max_completion_tokens;
        if let Some(schema) = schema.filter(|_| adapted.schema != SchemaForm::default()) {
            if known.forms.len() >= MAX_REMEMBERED_SCHEMAS {
                known.forms.clear();
            }
            known.forms.insert(fingerprint(schema), adapted.schema);
        }
    }
}

fn fingerprint(schema: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    schema.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON_OBJECT: Adapted =
        Adapted { schema: SchemaForm::JsonObject, temperature_dropped: false, max_completion_tokens: false };

    #[test]
    fn one_rejected_schema_leaves_the_others_strict() {
        let memory = ModelMemory::default();
        memory.remember("m", Some("{}"), JSON_OBJECT);
        let form = |model, schema| memory.recall(model, Some(schema)).schema;
        assert_eq!(form("m", "{}"), SchemaForm::JsonObject);
        assert_eq!(form("m", r#"{"type":"object"}"#), SchemaForm::AsGiven);
        assert_eq!(form("other", "{}"), SchemaForm::AsGiven);
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = ModelMemory::default();
        for schema in 0..=MAX_REMEMBERED_SCHEMAS {
            memory.remember("m", Some(&schema.to_string()), JSON_OBJECT);
        }
        assert!(memory.models.read()["m"].forms.len() <= MAX_REMEMBERED_SCHEMAS);
        assert!(memory.recall("m", Some(&MAX_REMEMBERED_SCHEMAS.to_string())).schema == SchemaForm::JsonObject);
    }
}
