//! Next steps: tidied, each once, days resolved to dates, the most urgent first.

use crate::{due, tidy};
use assay_guest::Notes;
use serde_json::{Map, Value};
use std::collections::HashMap;
use time::Date;

/// Arranges the list; what is no object stays at its end for the schema to judge.
pub(crate) fn arrange(items: &mut Vec<Value>, received_on: Option<Date>, notes: &mut Notes) {
    let mut steps: Vec<(Map<String, Value>, bool)> = Vec::with_capacity(items.len());
    let mut others = Vec::new();
    // Owner and action, then the day: where the step is.
    let mut places: HashMap<(String, String), HashMap<String, usize>> = HashMap::new();
    for item in items.drain(..) {
        let Value::Object(mut step) = item else {
            others.push(item);
            continue;
        };
        for field in ["owner", "action"] {
            if let Some(Value::String(text)) = step.get_mut(field) {
                *text = tidy::text(text);
            }
        }
        let unresolved = !resolve(&mut step, received_on);
        let key = (tidy::key(text(&step, "owner")), tidy::key(text(&step, "action")));
        if key.1.is_empty() {
            // Steps without words are never equal: they are faults to report.
            steps.push((step, unresolved));
            continue;
        }
        let due = text(&step, "due_date").to_owned();
        let same = places.entry(key).or_default();
        if same.contains_key(&due) || (due.is_empty() && !same.is_empty()) {
            continue;
        }
        // Of two equal steps the one with a date says more; on two days they are two steps.
        match same.remove("") {
            Some(at) => {
                same.insert(due, at);
                steps[at] = (step, unresolved);
            }
            None => {
                same.insert(due, steps.len());
                steps.push((step, unresolved));
            }
        }
    }
    steps.sort_by_cached_key(|(step, _)| {
        let due = text(step, "due_date");
        (due.is_empty(), due.to_owned(), text(step, "owner").to_lowercase(), text(step, "action").to_lowercase())
    });
    for (index, (step, unresolved)) in steps.into_iter().enumerate() {
        if unresolved {
            notes.add(
                "due-unresolved",
                format!("/next_steps/{index}"),
                "a due date was said that is no certain day; it was left out",
            );
        }
        items.push(Value::Object(step));
    }
    items.append(&mut others);
}

/// Makes `due_date` an ISO date or removes it; false where words were removed that should have been a day.
fn resolve(step: &mut Map<String, Value>, received_on: Option<Date>) -> bool {
    let Some(Value::String(said)) = step.get("due_date") else {
        return true;
    };
    match due::resolve(said, received_on) {
        due::Due::On(date) => {
            step.insert("due_date".to_owned(), Value::String(due::iso(date)));
            true
        }
        due::Due::Unsaid => {
            step.remove("due_date");
            true
        }
        due::Due::Uncertain => {
            step.remove("due_date");
            false
        }
    }
}

fn text<'a>(step: &'a Map<String, Value>, field: &str) -> &'a str {
    step.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::arrange;
    use crate::due::received_on;
    use assay_guest::Notes;
    use serde_json::{Value, json};

    fn arranged(items: Value) -> (Value, Vec<String>) {
        let Value::Array(mut items) = items else { panic!("a list") };
        let mut notes = Notes::default();
        // A Wednesday.
        arrange(&mut items, received_on("2026-03-04T22:00:00Z"), &mut notes);
        (
            Value::Array(items),
            notes.into_findings().into_iter().map(|note| format!("{} {}", note.pointer, note.code)).collect(),
        )
    }

    #[test]
    fn steps_are_sorted_by_date_then_owner_and_resolved() {
        let (steps, notes) = arranged(json!([
            {"owner": "Zoe", "action": "wait"},
            {"owner": " boris ", "action": "call  back", "due_date": "by Friday"},
            {"owner": "Anna", "action": "write", "due_date": "завтра"},
            {"owner": "Anna", "action": "read", "due_date": "n/a"}
        ]));
        assert_eq!(
            steps,
            json!([
                {"owner": "Anna", "action": "write", "due_date": "2026-03-05"},
                {"owner": "boris", "action": "call back", "due_date": "2026-03-06"},
                {"owner": "Anna", "action": "read"},
                {"owner": "Zoe", "action": "wait"}
            ])
        );
        assert_eq!(notes, [""; 0]);
    }

    #[test]
    fn of_equal_steps_the_one_with_a_date_stays() {
        let (steps, _) = arranged(json!([
            {"owner": "Anna", "action": "Send it"}, {"owner": "anna", "action": "send it.", "due_date": "tomorrow"}, {"owner": "Anna", "action": "send it!"}
        ]));
        assert_eq!(steps, json!([{"owner": "anna", "action": "send it.", "due_date": "2026-03-05"}]));
    }

    #[test]
    fn the_same_action_on_two_days_is_two_steps() {
        let step = |due: &str| json!({"owner": "Anna", "action": "call", "due_date": due});
        let (steps, _) = arranged(json!([step(""), step("friday"), step("today"), step("by Friday"), step("none")]));
        assert_eq!(steps, json!([step("2026-03-04"), step("2026-03-06")]));
    }

    #[test]
    fn a_day_that_is_not_certain_becomes_a_note_without_its_words() {
        let (steps, notes) = arranged(
            json!([{"owner": "A", "action": "b", "due_date": "when marker is back"}, {"owner": "A", "action": "a"}]),
        );
        assert_eq!(steps, json!([{"owner": "A", "action": "a"}, {"owner": "A", "action": "b"}]));
        assert_eq!(notes, ["/next_steps/1 due-unresolved"]);
    }

    #[test]
    fn what_is_no_step_stays_for_the_schema() {
        let odd = json!([{"owner": 1, "due_date": 2}, {}, {}, "text", null]);
        let (steps, _) = arranged(odd.clone());
        assert_eq!(steps.as_array().map(Vec::len), odd.as_array().map(Vec::len));
    }
}
