//! Default values for tests.

use assay_runtime::{Answer, Transcript};

/// A Monday.
pub(crate) const RECEIVED_AT: &str = "2026-01-05T09:00:00Z";
pub(crate) const MODEL: &str = "fixture";

/// Makes a transcript of type `text/plain` with default fields.
pub fn transcript(text: impl Into<String>) -> Transcript {
    Transcript {
        id: "fixture".to_owned(),
        text: text.into(),
        media_type: "text/plain".to_owned(),
        filename: "transcript.txt".to_owned(),
        received_at: RECEIVED_AT.to_owned(),
        attributes: Vec::new(),
    }
}

/// Makes an answer of the model `fixture`.
pub fn answer(text: impl Into<String>) -> Answer {
    Answer { text: text.into(), model: MODEL.to_owned() }
}
