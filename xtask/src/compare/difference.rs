//! Compares one item of two revisions. What the earlier one has, the later one must have; more is an addition.

use serde_json::{Map, Value};
use similar::TextDiff;

/// The result of comparing one item.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    Same,
    /// Paths of members that only the later revision has.
    Added(Vec<String>),
    Changed {
        /// Unified, without what was added.
        diff: String,
        added: Vec<String>,
    },
}

/// Compares an item of the earlier and of the later revision.
pub fn between(before: Option<&Value>, after: Option<&Value>) -> Difference {
    let (Some(before), Some(after)) = (before, after) else {
        return match after {
            Some(_) => Difference::Added(vec!["all of it".to_owned()]),
            None => Difference::Changed { diff: diff(before, None), added: Vec::new() },
        };
    };
    let mut added = Vec::new();
    let common = without_additions(before, after, "", &mut added);
    if common != *before {
        Difference::Changed { diff: diff(Some(before), Some(&common)), added }
    } else if added.is_empty() {
        Difference::Same
    } else {
        Difference::Added(added)
    }
}

/// Returns the later value without the members that the earlier one lacks.
fn without_additions(before: &Value, after: &Value, path: &str, added: &mut Vec<String>) -> Value {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let mut common = Map::new();
            for (name, value) in after {
                let path = format!("{path}/{name}");
                match before.get(name) {
                    Some(earlier) => _ = common.insert(name.clone(), without_additions(earlier, value, &path, added)),
                    None => added.push(path),
                }
            }
            Value::Object(common)
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            let pairs = before.iter().zip(after).enumerate();
            let pairs = pairs.map(|(index, (a, b))| without_additions(a, b, &format!("{path}/{index}"), added));
            Value::Array(pairs.collect())
        }
        _ => after.clone(),
    }
}

fn diff(before: Option<&Value>, after: Option<&Value>) -> String {
    let (before, after) = (before.map(readable).unwrap_or_default(), after.map(readable).unwrap_or_default());
    TextDiff::from_lines(&before, &after).unified_diff().missing_newline_hint(false).to_string()
}

/// Returns a value as lines. A stored document is one long line: a diff of it needs breaks.
fn readable(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace(",\"", ",\n\"") + "\n",
        other => format!("{other:#}\n").replace(",\\\"", ",\n\\\""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Difference, between};

    fn compared(before: &Value, after: &Value) -> Difference {
        between(Some(before), Some(after))
    }

    #[test]
    fn equal_values_are_the_same_whatever_the_order_of_members() {
        let (before, after) = (json!({"a": 1, "b": [1, {"c": null}]}), json!({"b": [1, {"c": null}], "a": 1}));
        assert_eq!(compared(&before, &after), Difference::Same);
    }

    #[test]
    fn a_new_member_is_an_addition_at_any_depth() {
        let (before, after) = (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1, "c": 2}], "d": 3}));
        let expected = vec!["/a/0/c".to_owned(), "/d".to_owned()];
        assert_eq!(compared(&before, &after), Difference::Added(expected));
        assert_eq!(between(None, Some(&after)), Difference::Added(vec!["all of it".to_owned()]));
    }

    #[test]
    fn a_missing_or_renamed_member_is_a_difference() {
        let Difference::Changed { diff, added } = compared(&json!({"seconds": 1}), &json!({"secs": 1})) else {
            panic!("a member is missing")
        };
        assert!(diff.contains("-  \"seconds\": 1") && !diff.contains("secs\""), "{diff}");
        assert_eq!(added, ["/secs"]);
        assert!(matches!(between(Some(&json!(1)), None), Difference::Changed { .. }));
    }

    #[test]
    fn another_value_length_order_or_type_is_a_difference() {
        for (before, after) in [
            (json!(1), json!(2)),
            (json!(1), json!("1")),
            (json!([1]), json!([1, 2])),
            (json!([1, 2]), json!([2, 1])),
            (json!({"a": null}), json!({"a": {}})),
            (json!({"a": {"b": 1}}), json!({"a": {}, "b": 1})),
        ] {
            assert!(matches!(compared(&before, &after), Difference::Changed { .. }), "{before} {after}");
        }
    }

    #[test]
    fn a_document_is_compared_byte_for_byte() {
        assert_eq!(compared(&json!(r#"{"a":1}"#), &json!(r#"{"a":1}"#)), Difference::Same);
        let Difference::Changed { diff, .. } = compared(&json!(r#"{"a":1,"b":2}"#), &json!(r#"{"a":1,"b": 2}"#)) else {
            panic!("a space is a byte")
        };
        assert!(diff.contains("-\"b\":2}\n+\"b\": 2}\n"), "{diff}");
    }

    #[test]
    fn a_document_inside_an_answer_is_broken_into_lines() {
        let answer = |b: u8| json!({"exit": 0, "stdout": format!("{{\"a\":1,\"b\":{b}}}")});
        let Difference::Changed { diff, .. } = compared(&answer(2), &answer(3)) else { panic!("a digit is a byte") };
        assert!(diff.contains("-\\\"b\\\":2}\"\n+\\\"b\\\":3}\"\n"), "{diff}");
    }
}
