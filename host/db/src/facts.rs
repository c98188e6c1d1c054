//! What rows say of a file and of its journal, as the guest's side of a job knows it.

use assay_core::journal_entry::JournalEntry;
use serde::Deserialize;

use crate::DbError;

/// A journal row inside a statement's answer.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    ordinal: i32,
    prompt_sha256: String,
    key: String,
    sha256: String,
    model: String,
    finish_reason: String,
}

impl Entry {
    pub(super) fn decode(self) -> Result<JournalEntry, DbError> {
        let bytes = |text: &str| hex::decode(text).map_err(|_| DbError::Row("a hash in job_answers is not hex"));
        Ok(JournalEntry {
            ordinal: self.ordinal,
            prompt_sha256: bytes(&self.prompt_sha256)?,
            sha256: bytes(&self.sha256)?,
            key: self.key,
            model: self.model,
            finish_reason: self.finish_reason,
        })
    }
}

/// The contract knows two media types; the CHECK on `files.extension` knows the same two.
pub(super) fn media_type(extension: &str) -> &'static str {
    if extension == "vtt" { "text/vtt" } else { "text/plain" }
}

/// An object of strings, sorted by name; a value of another type keeps its JSON text.
pub(super) fn attributes(value: serde_json::Value) -> Vec<(String, String)> {
    let serde_json::Value::Object(map) = value else {
        return Vec::new();
    };
    let mut pairs: Vec<_> = map
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect();
    pairs.sort();
    pairs
}
