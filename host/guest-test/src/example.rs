//! Values for tests that are about something else.

use assay_runtime::{Answer, Transcript};

/// The day on which every transcript of a test was received, unless it says otherwise: a Monday.
pub(crate) const RECEIVED_AT: &str = "2026-01-05T09:00:00Z";
/// The model that answered.
pub(crate) const MODEL: &str = "fixture";

/// A plain-text transcript; its other fields are usual ones.
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

/// A complete answer of the model.
pub fn answer(text: impl Into<String>) -> Answer {
    Answer { text: text.into(), model: MODEL.to_owned() }
}
