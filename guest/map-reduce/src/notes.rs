//! What the model noted about the parts: read, held to its schema, and put together for the last question.

use assay_guest::{Answer, Notes, Rejection, Schema, json};
use std::fmt::Write as _;

/// How long the notes on one part may be, in bytes of compact JSON. Those on all parts fit into one question.
pub(crate) const MAX_BYTES: usize = 48 << 10;

/// The notes on all parts, in their order, as text for the model.
///
/// # Errors
///
/// `invalid`, with everything that makes the notes on a part unusable and the part's number. A report without that part
/// would look like a whole one, so there is none.
pub(crate) fn read(answers: &[Answer], schema: &Schema) -> Result<String, Rejection> {
    let count = answers.len();
    let mut text = String::new();
    let mut unusable = Notes::default();
    for (number, answer) in (1..).zip(answers) {
        let mut refuse = |code: &str, pointer: &str, reason: &str| {
            unusable.add(code, pointer, &format!("part {number} of {count}: {reason}"));
        };
        let mut notes = match json::parse_fenced(&answer.text) {
            Ok(notes) => notes,
            Err(error) => {
                refuse("not-json", "", &error.to_string());
                continue;
            }
        };
        schema.strip_nulls(&mut notes);
        for finding in schema.findings(&notes) {
            refuse(&finding.code, &finding.pointer, &finding.message);
        }
        let notes = notes.to_string();
        if notes.len() > MAX_BYTES {
            refuse("notes-too-long", "", "the notes are longer than 48 KiB");
            continue;
        }
        let _ = writeln!(text, "Part {number} of {count}:\n{notes}");
    }
    let findings = unusable.into_findings();
    if findings.is_empty() { Ok(text) } else { Err(Rejection::Invalid(findings)) }
}
