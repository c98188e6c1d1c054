//! A step as people read it, and as they see what changed: documents and schemas as JSON instead of as JSON in strings, messages in
//! lines.

use assay_runtime::Step;
use serde_json::Value;
use similar::TextDiff;

/// The fields that hold JSON as text.
const JSON_TEXTS: [&str; 2] = ["document", "answer_schema"];
/// The field that holds a text of many lines.
const LINES: &str = "content";

/// The step as a JSON document, as `expected.json` holds it.
///
/// # Panics
/// Never: a step is strings and numbers.
pub fn shown(step: &Step) -> Value {
    let mut value = serde_json::to_value(step).expect("a step is strings and numbers");
    open(&mut value);
    value
}

fn open(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let opened = match field.as_str() {
                    Some(text) if JSON_TEXTS.contains(&name.as_str()) => serde_json::from_str(text).ok(),
                    Some(text) if name == LINES && text.contains('\n') => Some(text.split('\n').collect()),
                    _ => None,
                };
                match opened {
                    Some(opened) => *field = opened,
                    None => open(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(open),
        _ => {}
    }
}

/// What an expected step and an actual one differ in, in lines with a leading `-`, `+` or blank; three lines around each change.
/// Where nothing was expected, all of it is new.
pub fn diff(expected: Option<&Value>, actual: &Value) -> String {
    let text = |value: &Value| pretty(value) + "\n";
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
        assert_eq!(shown(&Step::Accept(report)), json!({"accept": {"document": {"document": "{}"}, "notes": []}}));
        let broken = Report { document: "{".into(), notes: vec![] };
        assert_eq!(shown(&Step::Accept(broken))["accept"]["document"], "{");
        let prompt = Prompt {
            messages: vec![Message { role: "user".into(), content: "{}\nx".into() }],
            answer_schema: Some("{\"type\":\"object\"}".into()),
            model: None,
            max_output_tokens: None,
            temperature: None,
        };
        let asked = shown(&Step::Ask(vec![prompt]));
        assert_eq!(asked["ask"][0]["answer_schema"], json!({"type": "object"}));
        assert_eq!(asked["ask"][0]["messages"][0]["content"], json!(["{}", "x"]));
    }

    #[test]
    fn a_difference_is_told_in_lines() {
        let told = diff(Some(&json!({"a": 1, "b": 2})), &json!({"a": 1, "b": 3}));
        let expected = "--- expected\n+++ actual\n@@ -1,4 +1,4 @@\n {\n   \"a\": 1,\n-  \"b\": 2\n+  \"b\": 3\n }\n";
        assert_eq!(told, expected);
        assert_eq!(diff(None, &json!(1)), "--- expected\n+++ actual\n@@ -0,0 +1 @@\n+1\n");
    }
}
