//! Lines in a transcript that make the stand-in misbehave, invented for the samples of the demo.

use serde_json::{Value, json};

use super::schema::Schema;

/// A misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The answer is JSON and does not satisfy the schema.
    BreakTheSchema,
    /// The answer is prose.
    AnswerWithoutJson,
    /// The answer ends in the middle, `finish_reason` is `length`.
    CutTheAnswerShort,
    /// The model refuses.
    Refuse,
    /// A filter withholds the answer.
    Filter,
    /// The first such question gets 429, the next an answer.
    RateLimitOnce,
    /// The answer stands in a Markdown fence.
    FenceTheAnswer,
}

const LINES: [(&str, Marker); 7] = [
    ("[stand-in: break the schema]", Marker::BreakTheSchema),
    ("[stand-in: answer without json]", Marker::AnswerWithoutJson),
    ("[stand-in: cut the answer short]", Marker::CutTheAnswerShort),
    ("[stand-in: refuse]", Marker::Refuse),
    ("[stand-in: filter]", Marker::Filter),
    ("[stand-in: rate-limit once]", Marker::RateLimitOnce),
    ("[stand-in: fence the answer]", Marker::FenceTheAnswer),
];

impl Marker {
    /// The misbehaviours that a question asks for.
    pub(super) fn find(question: &str) -> Vec<Self> {
        if !question.contains("[stand-in:") {
            return Vec::new();
        }
        LINES.iter().filter(|(line, _)| question.contains(line)).map(|(_, marker)| *marker).collect()
    }
}

/// Makes an answer that no longer satisfies its schema, however forgiving the reader: a required property is gone, the others have a type
/// that nobody would guess.
pub(super) fn break_schema(schema: &Schema, mut answer: Value) -> Value {
    if let Some(object) = answer.as_object_mut() {
        let nullable = |name: &str| {
            let mut probe = object.clone();
            probe.insert(name.to_owned(), Value::Null);
            schema.allows(&Value::Object(probe))
        };
        let firm: Vec<String> = object.keys().filter(|name| !nullable(name)).cloned().collect();
        if let Some((dropped, spoiled)) = firm.split_first() {
            object.remove(dropped);
            for name in spoiled {
                let wrong = if object[name].is_number() { json!("a number, in words") } else { json!(42) };
                object.insert(name.clone(), wrong);
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
