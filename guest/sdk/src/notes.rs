//! Remarks that a guest makes while it works on an answer.

use crate::{Finding, finding::bounded};

/// Collects remarks about an answer for the report's `notes`.
#[derive(Debug, Default)]
pub struct Notes(Vec<Finding>);

impl Notes {
    /// Adds a remark.
    ///
    /// `code` is a rule's name (`[a-z0-9._-]`, at most 64 bytes), `pointer` an RFC 6901 pointer into the document, and
    /// `message` one line that quotes nothing from transcript or answer.
    pub fn add(&mut self, code: &str, pointer: impl Into<String>, message: &str) {
        self.0.push(Finding { code: code.to_owned(), pointer: pointer.into(), message: message.to_owned() });
    }

    /// Returns the remarks in the order they were added, at most [`MAX_FINDINGS`](crate::MAX_FINDINGS).
    pub fn into_findings(self) -> Vec<Finding> {
        bounded(self.0)
    }
}
