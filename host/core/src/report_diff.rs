//! Compares the results of two guests for the same answers.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;

use crate::code::Code;

/// The result of a guest for the answers of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestVerdict {
    /// A report: JSON that the guest's schema accepts. Content.
    Accepted(Bytes),
    /// No report.
    Rejected,
}

/// The result of a candidate for the same answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateOutcome {
    /// The candidate accepted or rejected the answers.
    Judged(GuestVerdict),
    /// The candidate asks a question without a stored answer.
    Diverged,
    /// The candidate failed.
    Fault(Code),
}

/// How the result of a candidate differs from an earlier verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Equal JSON documents, or no report from either.
    Same,
    /// Two reports that differ at these RFC 6901 pointers. Content: a pointer may hold keys of the document.
    Changed(Vec<String>),
    /// Only the candidate made a report.
    NewlyAccepted,
    /// Only the earlier guest made a report.
    NewlyRejected,
    /// The candidate asks a question without a stored answer.
    Diverged,
    /// The candidate failed.
    Fault(Code),
}

impl Difference {
    /// The stored names of all differences, in the order of display.
    pub const NAMES: [&'static str; 6] = ["same", "changed", "newly_accepted", "newly_rejected", "diverged", "fault"];

    /// Returns the difference as it is stored.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed(_) => "changed",
            Self::NewlyAccepted => "newly_accepted",
            Self::NewlyRejected => "newly_rejected",
            Self::Diverged => "diverged",
            Self::Fault(_) => "fault",
        }
    }
}

/// Two documents that differ. Content.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportPair {
    pub before: Value,
    pub after: Value,
}

/// Compares a verdict with the result of a candidate. Returns at most `limit` pointers.
pub fn compare(before: &GuestVerdict, after: &CandidateOutcome, limit: usize) -> Difference {
    compare_documents(before, after, limit).0
}

/// Compares as [`compare`] does, and returns both documents with [`Difference::Changed`].
pub fn compare_documents(
    before: &GuestVerdict,
    after: &CandidateOutcome,
    limit: usize,
) -> (Difference, Option<ReportPair>) {
    let after = match after {
        CandidateOutcome::Diverged => return (Difference::Diverged, None),
        CandidateOutcome::Fault(code) => return (Difference::Fault(*code), None),
        CandidateOutcome::Judged(verdict) => verdict,
    };
    let difference = match (before, after) {
        (GuestVerdict::Rejected, GuestVerdict::Rejected) => Difference::Same,
        (GuestVerdict::Rejected, GuestVerdict::Accepted(_)) => Difference::NewlyAccepted,
        (GuestVerdict::Accepted(_), GuestVerdict::Rejected) => Difference::NewlyRejected,
        (GuestVerdict::Accepted(before), GuestVerdict::Accepted(after)) if before == after => Difference::Same,
        (GuestVerdict::Accepted(before), GuestVerdict::Accepted(after)) => {
            let parse = |bytes: &Bytes| serde_json::from_slice::<Value>(bytes).unwrap_or(Value::Null);
            let pair = ReportPair { before: parse(before), after: parse(after) };
            let pointers = differing_pointers(&pair.before, &pair.after, limit);
            if !pointers.is_empty() {
                return (Difference::Changed(pointers), Some(pair));
            }
            Difference::Same
        }
    };
    (difference, None)
}

/// Returns pointers to the innermost values that differ, at most `limit`. Lists are compared index by index.
pub fn differing_pointers(before: &Value, after: &Value, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    walk(before, after, &mut String::new(), limit, &mut found);
    found
}

fn walk(before: &Value, after: &Value, at: &mut String, limit: usize, found: &mut Vec<String>) {
    if found.len() >= limit || before == after {
        return;
    }
    let into =
        |segment: &str, at: &mut String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<String>| {
            let end = at.len();
            at.push('/');
            at.push_str(&segment.replace('~', "~0").replace('/', "~1"));
            match (before, after) {
                (Some(before), Some(after)) => walk(before, after, at, limit, found),
                _ if found.len() < limit => found.push(at.clone()),
                _ => {}
            }
            at.truncate(end);
        };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                into(key, at, before.get(key), after.get(key), found);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                into(&index.to_string(), at, before.get(index), after.get(index), found);
            }
        }
        _ => found.push(at.clone()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn accepted(document: &str) -> GuestVerdict {
        GuestVerdict::Accepted(Bytes::copy_from_slice(document.as_bytes()))
    }

    fn compared(before: GuestVerdict, after: GuestVerdict) -> Difference {
        compare(&before, &CandidateOutcome::Judged(after), 10)
    }

    #[test]
    fn formatting_and_key_order_do_not_matter() {
        assert_eq!(compared(accepted(r#"{"a":1,"b":[2]}"#), accepted("{ \"b\": [2],\n\"a\": 1 }")), Difference::Same);
        assert_eq!(compared(GuestVerdict::Rejected, GuestVerdict::Rejected), Difference::Same);
    }

    #[test]
    fn every_other_pair_has_its_name() {
        assert_eq!(compared(GuestVerdict::Rejected, accepted("{}")), Difference::NewlyAccepted);
        assert_eq!(compared(accepted("{}"), GuestVerdict::Rejected), Difference::NewlyRejected);
        assert_eq!(compare(&accepted("{}"), &CandidateOutcome::Diverged, 10), Difference::Diverged);
        let fault = CandidateOutcome::Fault(Code::GuestTrap);
        assert_eq!(compare(&GuestVerdict::Rejected, &fault, 10), Difference::Fault(Code::GuestTrap));
        let changed = compared(accepted(r#"{"a":1}"#), accepted(r#"{"a":2}"#));
        assert_eq!(changed, Difference::Changed(vec!["/a".to_owned()]));
        assert_eq!(changed.as_str(), "changed");
    }

    #[test]
    fn pointers_lead_to_the_innermost_values() {
        let before = json!({"steps": [{"what": "call", "due": null}, {"what": "send"}], "a/b~c": 1, "gone": 1});
        let after = json!({"steps": [{"what": "call", "due": "2026-03-04"}], "a/b~c": 2, "new": 1});
        assert_eq!(differing_pointers(&before, &after, 10), ["/a~1b~0c", "/gone", "/new", "/steps/0/due", "/steps/1"]);
        assert_eq!(differing_pointers(&before, &after, 2).len(), 2);
        assert_eq!(differing_pointers(&json!({}), &json!([]), 10), [""], "the whole document");
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), "[a-c~/]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c~/]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn pointers_lead_to_values_that_differ(before in document(), after in document()) {
            let pointers = differing_pointers(&before, &after, usize::MAX);
            prop_assert_eq!(pointers.is_empty(), before == after);
            for pointer in pointers {
                prop_assert_ne!(before.pointer(&pointer), after.pointer(&pointer));
            }
        }
    }
}
