//! Deciding about a document: accepted as a report, or rejected with its findings.

use std::mem;

use serde_json::Value;

use crate::{Finding, Notes, Rejection, Report, Schema, compact_json, finding::not_json, json, reading};

impl Schema {
    /// Decides about an answer that needs no post-processing; [`Ready::judge`](crate::Ready::judge) for guests without
    /// code. What stood around the document is a note.
    ///
    /// # Errors
    ///
    /// - [`Rejection::NotJson`]: the text has not one JSON document.
    /// - [`Rejection::Invalid`]: the document breaks the schema.
    pub fn judge(&self, text: &str) -> Result<Report, Rejection> {
        let (mut document, mendings) = reading::read(text).map_err(|error| Rejection::NotJson(error.to_string()))?;
        let mut notes = Notes::default();
        for mending in mendings {
            notes.add(mending.code(), "", mending.message());
        }
        self.strip_nulls(&mut document);
        accept(self, document, text.len(), notes)
    }
}

/// Validates a finished document and makes it a report of about `bytes` bytes.
pub(crate) fn accept(schema: &Schema, document: Value, bytes: usize, notes: Notes) -> Result<Report, Rejection> {
    let findings = schema.findings(&document);
    let judged = if findings.is_empty() {
        Ok(Report { document: compact_json::write(&document, bytes), notes: notes.into_findings() })
    } else {
        Err(Rejection::Invalid(findings))
    };
    forget_in_guest(document);
    judged
}

/// Validates a stored document; text that is not JSON has the one finding `not-json`.
pub(crate) fn check(schema: &Schema, document: &str) -> Vec<Finding> {
    match json::parse(document) {
        Ok(document) => {
            let findings = schema.findings(&document);
            forget_in_guest(document);
            findings
        }
        Err(error) => vec![not_json(error.to_string())],
    }
}

/// Skips freeing a document in a guest: its memory goes with the instance anyway.
fn forget_in_guest(document: Value) {
    if cfg!(target_arch = "wasm32") {
        mem::forget(document);
    }
}
