//! Steps as readable JSON: documents and schemas as JSON instead of strings, messages as lists of lines.

use assay_runtime::Step;
use serde_json::Value;
use similar::TextDiff;

/// Fields with JSON as text.
const JSON_FIELDS: [&str; 2] = ["document", "answer_schema"];
/// A field with a text of many lines.
const LINES_FIELD: &str = "content";

/// Returns a step in the JSON form of `expected.json`.
///
/// # Panics
/// Never: a step is strings and numbers.
pub fn step_json(step: &Step) -> Value {
    let mut value = serde_json::to_value(step).expect("a step is strings and numbers");
    expand(&mut value);
    value
}

fn expand(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let opened = match field.as_str() {
                    Some(text) if JSON_FIELDS.contains(&name.as_str()) => serde_json::from_str(text).ok(),
                    Some(text) if name == LINES_FIELD && text.contains('\n') => Some(text.split('\n').collect()),
                    _ => None,
                };
                match opened {
                    Some(opened) => *field = opened,
                    None => expand(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(expand),
        _ => {}
    }
}

/// Returns whether two steps are the same. A field of the contract that is null is the same as one that is missing: a fixture may
/// be older than the field.
pub fn same_step(expected: &Value, actual: &Value) -> bool {
    without_nulls(expected) == without_nulls(actual)
}

/// Drops fields that are null, outside documents and schemas: there, null is a value.
fn without_nulls(step: &Value) -> Value {
    match step {
        Value::Object(fields) => {
            let present = fields.iter().filter(|(_, field)| !field.is_null());
            let kept = present.map(|(name, field)| {
                let is_opaque = JSON_FIELDS.contains(&name.as_str());
                (name.clone(), if is_opaque { field.clone() } else { without_nulls(field) })
            });
            kept.collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Returns the difference of two steps as a unified diff with three lines of context, without what [`same_step`] ignores. Without an
/// expected step, all lines are new.
pub fn step_diff(expected: Option<&Value>, actual: &Value) -> String {
    let text = |value: &Value| pretty(&without_nulls(value)) + "\n";
    let (expected, actual) = (expected.map(text).unwrap_or_default(), text(actual));
    TextDiff::from_lines(&expected, &actual).unified_diff().context_radius(3).header("expected", "actual").to_string()
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use assay_runtime::{Message, Prompt, Report};
    use serde_json::json;

    use super::*;

    #[test]
    fn json_in_a_string_is_shown_as_json() {
        let report = Report { document: r#"{"document":"{}"}"#.into(), notes: vec![] };
        assert_eq!(step_json(&Step::Accept(report)), json!({"accept": {"document": {"document": "{}"}, "notes": []}}));
        let broken = Report { document: "{".into(), notes: vec![] };
        assert_eq!(step_json(&Step::Accept(broken))["accept"]["document"], "{");
        let prompt = Prompt {
            messages: vec![Message { role: "user".into(), content: "{}\nx".into() }],
            answer_schema: Some("{\"type\":\"object\"}".into()),
            model: None,
            max_output_tokens: None,
            temperature: None,
        };
        let asked = step_json(&Step::Ask(vec![prompt]));
        assert_eq!(asked["ask"][0]["answer_schema"], json!({"type": "object"}));
        assert_eq!(asked["ask"][0]["messages"][0]["content"], json!(["{}", "x"]));
    }

    #[test]
    fn a_difference_is_a_unified_diff() {
        let difference = step_diff(Some(&json!({"a": 1, "b": 2})), &json!({"a": 1, "b": 3}));
        let expected = "--- expected\n+++ actual\n@@ -1,4 +1,4 @@\n {\n   \"a\": 1,\n-  \"b\": 2\n+  \"b\": 3\n }\n";
        assert_eq!(difference, expected);
        assert_eq!(step_diff(None, &json!(1)), "--- expected\n+++ actual\n@@ -0,0 +1 @@\n+1\n");
        assert_eq!(step_diff(Some(&json!({"a": 1})), &json!({"a": 1, "b": null})), "");
    }

    #[test]
    fn a_field_that_a_fixture_does_not_know_may_be_null() {
        let asked = |prompt: Value| json!({"ask": [prompt]});
        let message = json!({"role": "user", "content": "x"});
        let old = asked(json!({"messages": [message]}));
        for prompt in [
            json!({"messages": [message], "model": null, "temperature": null, "answer_schema": null}),
            json!({"messages": [{"role": "user", "content": "x", "later": null}]}),
        ] {
            assert!(same_step(&old, &asked(prompt.clone())) && same_step(&asked(prompt), &old));
        }
        for prompt in [
            json!({"messages": [message], "model": "small"}),
            json!({"messages": [message, null]}),
            json!({"messages": [{"role": "user", "content": "x", "later": 0}]}),
        ] {
            assert!(!same_step(&old, &asked(prompt.clone())), "{prompt}");
        }
    }

    #[test]
    fn a_null_in_a_document_or_a_schema_is_a_value() {
        let accepted = |document: Value| json!({"accept": {"document": document, "notes": []}});
        assert!(!same_step(&accepted(json!({"due": null})), &accepted(json!({}))));
        assert!(!same_step(&accepted(Value::Null), &accepted(json!({}))));
        let asked = |schema: Value| json!({"ask": [{"messages": [], "answer_schema": schema}]});
        assert!(!same_step(&asked(json!({"default": null})), &asked(json!({}))));
        assert!(!same_step(&asked(json!({"enum": ["a", null]})), &asked(json!({"enum": ["a"]}))));
    }
}
