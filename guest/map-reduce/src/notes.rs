//! The model's notes on the parts: parsed, validated and joined for the last question.

use std::fmt::Write as _;

use assay_guest::{Answer, Notes, Rejection, Schema, json};

/// Limits the compact JSON of the notes on one part, so the notes on all parts fit into one question.
pub(crate) const MAX_NOTES_BYTES: usize = 48 << 10;

/// Joins the notes on all parts in order, as text for the model.
///
/// # Errors
///
/// [`Rejection::Invalid`] with the findings of every part and its number. One bad part ends the job: a report without
/// that part would look complete.
pub(crate) fn join(answers: &[Answer], schema: &Schema) -> Result<String, Rejection> {
    let count = answers.len();
    let mut text = String::new();
    let mut faults = Notes::default();
    for (number, answer) in (1..).zip(answers) {
        let mut refuse = |code: &str, pointer: &str, reason: &str| {
            faults.add(code, pointer, &format!("part {number} of {count}: {reason}"));
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
        if notes.len() > MAX_NOTES_BYTES {
            refuse("notes-too-long", "", "the notes are longer than 48 KiB");
            continue;
        }
        let _ = writeln!(text, "Part {number} of {count}:\n{notes}");
    }
    let findings = faults.into_findings();
    if findings.is_empty() { Ok(text) } else { Err(Rejection::Invalid(findings)) }
}
