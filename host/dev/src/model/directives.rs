//! Lines in a transcript that make the stand-in misbehave, invented for the samples of the demo.

use serde_json::{Value, json};

use super::schema::Schema;

pub(super) const PREFIX: &str = "[stand-in:";
pub(super) const BREAK_SCHEMA: &str = "[stand-in: break the schema]";
pub(super) const ANSWER_PROSE: &str = "[stand-in: answer without json]";
pub(super) const CUT_ANSWER: &str = "[stand-in: cut the answer short]";
pub(super) const REFUSE: &str = "[stand-in: refuse]";
pub(super) const FILTER: &str = "[stand-in: filter]";
/// Answers the first such question with 429, the next as usual.
pub(super) const RATE_LIMIT_ONCE: &str = "[stand-in: rate-limit once]";
pub(super) const FENCE_ANSWER: &str = "[stand-in: fence the answer]";

/// Makes an answer invalid, however forgiving the reader: drops a required property and gives the others a type that no reader expects.
pub(super) fn break_schema(schema: &Schema, mut answer: Value) -> Value {
    if let Some(object) = answer.as_object_mut() {
        let is_nullable = |name: &str| {
            let mut probe = object.clone();
            probe.insert(name.to_owned(), Value::Null);
            schema.allows(&Value::Object(probe))
        };
        let firm: Vec<String> = object.keys().filter(|name| !is_nullable(name)).cloned().collect();
        for (i, name) in firm.into_iter().enumerate() {
            if i == 0 {
                object.remove(&name);
            } else {
                let wrong = if object[&name].is_number() { json!("a number, in words") } else { json!(42) };
                object.insert(name, wrong);
            }
        }
        if !schema.allows(&answer) {
            return answer;
        }
    }
    [json!(42), json!([null]), json!("prose"), json!({ "stand-in": null }), Value::Null]
        .into_iter()
        .find(|wrong| !schema.allows(wrong))
        .unwrap_or(answer)
}
