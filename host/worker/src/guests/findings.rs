//! Findings as they may leave the run folder: with the words of the schema alone.

use std::collections::{BTreeSet, HashSet};

use assay_core::finding_code::{declared_codes, is_keyword};
use assay_runtime::Finding;
use serde_json::Value;

/// Findings named in a message; the rest is counted.
const MAX_SHOWN_FINDINGS: usize = 5;
/// Segments shown of one pointer; a guest's pointer may have millions.
const MAX_SHOWN_SEGMENTS: usize = 16;

/// The words of a schema that findings may show. The guest's author wrote them before any document was read.
#[derive(Debug, Default)]
pub struct SchemaWords {
    /// Every property name, at any depth: the only segments of a pointer that are shown.
    names: HashSet<String>,
    /// The guest's own codes: shown like the keywords of JSON Schema.
    codes: BTreeSet<String>,
}

impl SchemaWords {
    /// Collects the words of a schema that was admitted.
    pub fn of(schema: &str) -> Self {
        let mut words = Self::default();
        if let Ok(schema) = serde_json::from_str(schema) {
            collect(&schema, &mut words.names);
            words.codes = schema.as_object().and_then(|root| declared_codes(root).ok()).unwrap_or_default();
        }
        words
    }

    /// Returns a summary: `2 findings: required at /next_steps/*, format at /next_steps/*/due`.
    pub fn summary(&self, found: &[Finding]) -> String {
        let shown: Vec<_> = found
            .iter()
            .take(MAX_SHOWN_FINDINGS)
            .map(|finding| format!("{} at {}", self.code(&finding.code), self.pointer(&finding.pointer)))
            .collect();
        let more = found.len().saturating_sub(MAX_SHOWN_FINDINGS);
        let plural = if found.len() == 1 { "finding" } else { "findings" };
        let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
        if found.is_empty() {
            "no finding".to_owned()
        } else {
            format!("{} {plural}: {}{rest}", found.len(), shown.join(", "))
        }
    }

    fn code<'a>(&self, code: &'a str) -> &'a str {
        if is_keyword(code) || self.codes.contains(code) { code } else { "other" }
    }

    /// Returns a pointer with `*` for every segment that the schema does not name.
    pub fn pointer(&self, pointer: &str) -> String {
        if pointer.is_empty() {
            return "the whole document".to_owned();
        }
        let mut segments = pointer.split('/').skip(1);
        let mut shown: String = segments
            .by_ref()
            .take(MAX_SHOWN_SEGMENTS)
            .map(|segment| {
                let name = segment.replace("~1", "/").replace("~0", "~");
                if self.names.contains(&name) { format!("/{segment}") } else { "/*".to_owned() }
            })
            .collect();
        if segments.next().is_some() {
            shown.push_str("/…");
        }
        shown
    }
}

fn collect(schema: &Value, names: &mut HashSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                if let ("properties", Value::Object(properties)) = (key.as_str(), value) {
                    names.extend(properties.keys().cloned());
                }
                collect(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &str, pointer: &str) -> Finding {
        Finding { code: code.to_owned(), pointer: pointer.to_owned(), message: "never shown".to_owned() }
    }

    #[test]
    fn a_pointer_shows_only_what_the_schema_names() {
        let words =
            SchemaWords::of(r#"{"$defs": {"step": {"properties": {"owner": {}}}}, "properties": {"steps": {}}}"#);
        let found = [finding("required", "/steps/3/owner"), finding("type", "/Alice said/owner"), finding("type", "")];
        assert_eq!(
            words.summary(&found),
            "3 findings: required at /steps/*/owner, type at /*/owner, type at the whole document"
        );
    }

    #[test]
    fn a_pointer_without_end_is_cut() {
        let shown = SchemaWords::default().summary(&[finding("type", &"/".repeat(1_000_000))]);
        assert_eq!(shown, format!("1 finding: type at {}/…", "/*".repeat(MAX_SHOWN_SEGMENTS)));
    }

    #[test]
    fn a_code_shows_only_a_keyword_or_what_the_schema_declares() {
        let words = SchemaWords::of(
            r#"{"x-assay-codes": ["quote-not-found", "more"], "title": "hunter2", "properties":
                {"alice": {"enum": ["bob-owes-alice"], "x-assay-codes": ["nested"]}}}"#,
        );
        for code in ["required", "minLength", "$ref", "quote-not-found", "more"] {
            assert_eq!(words.code(code), code);
        }
        for code in ["hunter2", "alice", "bob-owes-alice", "nested", "Required", "requiredness", "", "Bob owes Alice"] {
            assert_eq!(words.code(code), "other", "{code}");
        }
        assert_eq!(words.summary(&[finding("my-password-is-hunter2", "")]), "1 finding: other at the whole document");
    }

    #[test]
    fn a_schema_whose_codes_are_no_list_declares_none() {
        let words = SchemaWords::of(r#"{"x-assay-codes": "more"}"#);
        assert_eq!(words.code("more"), "other");
    }
}
