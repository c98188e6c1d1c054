//! Findings as they may leave the run folder: codes, and pointers whose segments the schema names.

use std::collections::HashSet;

use assay_runtime::Finding;

/// Findings named in a message; the rest is counted.
const MAX_SHOWN_FINDINGS: usize = 5;
/// Segments shown of one pointer; a guest's pointer may have millions.
const MAX_SHOWN_SEGMENTS: usize = 16;
/// Longest code; a longer text is not a code.
const MAX_CODE_BYTES: usize = 64;

/// Returns every property name of a schema, at any depth. The guest's author wrote these words, not a document.
pub fn property_names(schema: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    if let Ok(schema) = serde_json::from_str(schema) {
        collect(&schema, &mut names);
    }
    names
}

fn collect(schema: &serde_json::Value, names: &mut HashSet<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                if let ("properties", serde_json::Value::Object(properties)) = (key.as_str(), value) {
                    names.extend(properties.keys().cloned());
                }
                collect(value, names);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

/// Returns a summary: `2 findings: required at /next_steps/*, format at /next_steps/*/due`.
pub fn summary(found: &[Finding], names: &HashSet<String>) -> String {
    let shown: Vec<_> = found
        .iter()
        .take(MAX_SHOWN_FINDINGS)
        .map(|finding| format!("{} at {}", code(&finding.code), pointer(&finding.pointer, names)))
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

fn code(code: &str) -> &str {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    // JSON Schema's own keywords are camel case: minLength, additionalProperties.
    let keyword = |byte: u8| byte.is_ascii_alphabetic();
    let fits = !code.is_empty() && code.len() <= MAX_CODE_BYTES;
    if fits && (code.bytes().all(legal) || code.bytes().all(keyword)) { code } else { "other" }
}

/// Returns a pointer with `*` for every segment that the schema does not name.
pub fn pointer(pointer: &str, names: &HashSet<String>) -> String {
    if pointer.is_empty() {
        return "the whole document".to_owned();
    }
    let mut segments = pointer.split('/').skip(1);
    let mut shown: String = segments
        .by_ref()
        .take(MAX_SHOWN_SEGMENTS)
        .map(|segment| {
            let name = segment.replace("~1", "/").replace("~0", "~");
            if names.contains(&name) { format!("/{segment}") } else { "/*".to_owned() }
        })
        .collect();
    if segments.next().is_some() {
        shown.push_str("/…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &str, pointer: &str) -> Finding {
        Finding { code: code.to_owned(), pointer: pointer.to_owned(), message: "never shown".to_owned() }
    }

    #[test]
    fn a_pointer_shows_only_what_the_schema_names() {
        let names =
            property_names(r#"{"$defs": {"step": {"properties": {"owner": {}}}}, "properties": {"steps": {}}}"#);
        let found = [finding("required", "/steps/3/owner"), finding("type", "/Alice said/owner"), finding("type", "")];
        assert_eq!(
            summary(&found, &names),
            "3 findings: required at /steps/*/owner, type at /*/owner, type at the whole document"
        );
    }

    #[test]
    fn a_pointer_without_end_is_cut() {
        let shown = summary(&[finding("type", &"/".repeat(1_000_000))], &HashSet::new());
        assert_eq!(shown, format!("1 finding: type at {}/…", "/*".repeat(MAX_SHOWN_SEGMENTS)));
    }

    #[test]
    fn a_code_that_is_a_sentence_is_not_shown() {
        assert_eq!(
            summary(&[finding("Bob owes Alice", "")], &HashSet::new()),
            "1 finding: other at the whole document"
        );
    }
}
