//! Next steps: tidied, each once, days resolved to dates, the most urgent first.

use std::{collections::HashMap, mem};

use assay_guest::Notes;
use serde_json::{Map, Value};
use time::Date;

use crate::{
    due_date::{self, DueDate},
    tidy,
};

struct NextStep {
    fields: Map<String, Value>,
    /// The model named a day that is not certain; the field was removed.
    unresolved: bool,
}

/// Arranges the list. Items that are not objects stay at its end, for the schema to reject.
pub(crate) fn arrange(items: &mut Vec<Value>, received_on: Option<Date>, notes: &mut Notes) {
    let mut list = StepList::default();
    let mut others = Vec::new();
    for item in mem::take(items) {
        match item {
            Value::Object(fields) => list.add(tidied(fields, received_on)),
            other => others.push(other),
        }
    }
    for (index, step) in list.sorted().into_iter().enumerate() {
        if step.unresolved {
            notes.add(
                "due-unresolved",
                format!("/next_steps/{index}"),
                "a due date was said that is no certain day; it was left out",
            );
        }
        items.push(Value::Object(step.fields));
    }
    items.append(&mut others);
}

fn tidied(mut fields: Map<String, Value>, received_on: Option<Date>) -> NextStep {
    for field in ["owner", "action"] {
        if let Some(Value::String(text)) = fields.get_mut(field) {
            *text = tidy::text(text);
        }
    }
    let unresolved = !resolve_due_date(&mut fields, received_on);
    NextStep { fields, unresolved }
}

/// Makes `due_date` an ISO date or removes it. Returns false when it held something that is not a certain day.
fn resolve_due_date(fields: &mut Map<String, Value>, received_on: Option<Date>) -> bool {
    let Some(Value::String(said)) = fields.get("due_date") else {
        return true;
    };
    match due_date::resolve(said, received_on) {
        DueDate::On(date) => {
            fields.insert("due_date".to_owned(), Value::String(due_date::iso(date)));
            true
        }
        DueDate::NotSaid => {
            fields.remove("due_date");
            true
        }
        DueDate::Uncertain => {
            fields.remove("due_date");
            false
        }
    }
}

/// Collects steps without repetitions.
#[derive(Default)]
struct StepList {
    steps: Vec<NextStep>,
    indexes: HashMap<StepKey, HashMap<String, usize>>,
}

/// Two steps with the same key and day are equal.
#[derive(PartialEq, Eq, Hash)]
struct StepKey {
    owner: String,
    action: String,
}

impl StepList {
    /// Adds a step unless an equal one is there. On two days it is two steps; a step with a day replaces one without.
    fn add(&mut self, step: NextStep) {
        let owner = tidy::key(text(&step.fields, "owner"));
        let action = tidy::key(text(&step.fields, "action"));
        if action.is_empty() {
            // Never merged: the schema must reject each of them.
            self.steps.push(step);
            return;
        }
        let due = text(&step.fields, "due_date").to_owned();
        let by_due = self.indexes.entry(StepKey { owner, action }).or_default();
        if by_due.contains_key(&due) || (due.is_empty() && !by_due.is_empty()) {
            return;
        }
        match by_due.remove("") {
            Some(index) => {
                by_due.insert(due, index);
                self.steps[index] = step;
            }
            None => {
                by_due.insert(due, self.steps.len());
                self.steps.push(step);
            }
        }
    }

    fn sorted(mut self) -> Vec<NextStep> {
        self.steps.sort_by_cached_key(|step| {
            let due = text(&step.fields, "due_date");
            let (owner, action) = (text(&step.fields, "owner"), text(&step.fields, "action"));
            (due.is_empty(), due.to_owned(), owner.to_lowercase(), action.to_lowercase())
        });
        self.steps
    }
}

fn text<'a>(step: &'a Map<String, Value>, field: &str) -> &'a str {
    step.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use assay_guest::Notes;
    use serde_json::{Value, json};

    use super::arrange;
    use crate::due_date::received_on;

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
    fn steps_are_resolved_and_sorted_by_date_then_owner() {
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
    fn an_uncertain_day_becomes_a_note_that_quotes_nothing() {
        let (steps, notes) = arranged(
            json!([{"owner": "A", "action": "b", "due_date": "when marker is back"}, {"owner": "A", "action": "a"}]),
        );
        assert_eq!(steps, json!([{"owner": "A", "action": "a"}, {"owner": "A", "action": "b"}]));
        assert_eq!(notes, ["/next_steps/1 due-unresolved"]);
    }

    #[test]
    fn items_that_are_not_steps_stay_for_the_schema() {
        let odd = json!([{"owner": 1, "due_date": 2}, {}, {}, "text", null]);
        let (steps, _) = arranged(odd.clone());
        assert_eq!(steps.as_array().map(Vec::len), odd.as_array().map(Vec::len));
    }
}
