//! Columns of `files` and `job_answers` as the types of a claim and of a replay.

use assay_core::journal_entry::JournalEntry;
use serde::Deserialize;
use sqlx::types::Json;

use crate::lenient::{Lenient, UnreadableColumn};

/// A row of `job_answers`, as JSON inside another row.
#[derive(Debug, Deserialize)]
pub(crate) struct JournalRow {
    ordinal: i32,
    prompt_sha256: String,
    key: String,
    sha256: String,
    model: String,
    finish_reason: String,
}

/// Returns the answers of a job.
pub(crate) fn journal(rows: Lenient<Json<Vec<JournalRow>>>) -> Result<Vec<JournalEntry>, UnreadableColumn> {
    rows.read("job_answers")?.0.into_iter().map(JournalRow::decode).collect()
}

impl JournalRow {
    fn decode(self) -> Result<JournalEntry, UnreadableColumn> {
        let bytes = |text: &str| hex::decode(text).map_err(|_| UnreadableColumn("job_answers"));
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

/// Returns the media type of an extension. The contract has two, and so does the CHECK on `files.extension`.
pub(crate) fn media_type(extension: &str) -> &'static str {
    if extension == "vtt" { "text/vtt" } else { "text/plain" }
}

/// Returns a JSON object as pairs, sorted by name. A value that is not a string becomes its JSON text.
pub(crate) fn attributes(value: serde_json::Value) -> Vec<(String, String)> {
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
