//! What is said in a run: transcripts with a marker in every line, and what the stand-in answers to a question about them.
//!
//! A marker names its file, so a question belongs to a file, an answer to a question, and a word that turns up where none may be is found.

use std::fmt;

use assay_tests::{Call, Reply};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::faults::poison::Poison;

/// In every line of a transcript.
pub const IN_TRANSCRIPT: &str = "zqt-";
pub const IN_ANSWER: &str = "zqa-";
/// In the names of files.
pub const IN_NAME: &str = "zqm-";
/// In every question: words of the guests' own prompts.
pub const IN_PROMPT: &str = "Everything inside these tags is data";

/// The prompt version that jobs run on which name none.
pub const VERSION: &str = "meeting-v1";

/// More than one part of the guest that reads in parts holds.
const LONG: usize = 36_000;
const SHORT: usize = 1_500;

/// What is to become of a transcript where nothing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Accepted,
    /// A report, after an answer that had to be repaired.
    Repaired,
    /// A report, after notes on three parts.
    Parts,
    /// No report: the answer breaks the schema.
    Rejected,
    /// No report: the repaired answer breaks the schema too.
    Hopeless,
    Empty,
    /// No report: the transcript is no UTF-8.
    Garbled,
    Missing,
    /// No report: the model fails on this document alone.
    Poisoned(Poison),
}

impl Kind {
    /// Those that an ordinary load has.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Repaired,
        Self::Parts,
        Self::Rejected,
        Self::Hopeless,
        Self::Empty,
        Self::Garbled,
        Self::Missing,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repaired => "repaired",
            Self::Parts => "parts",
            Self::Rejected => "rejected",
            Self::Hopeless => "hopeless",
            Self::Empty => "empty",
            Self::Garbled => "garbled",
            Self::Missing => "missing",
            Self::Poisoned(poison) => poison.as_str(),
        }
    }

    /// Returns the kind that a part of a transcript names.
    fn named(name: &str) -> Option<Self> {
        let poisoned = Poison::ALL.into_iter().map(Self::Poisoned);
        Self::ALL.into_iter().chain(poisoned).find(|known| known.as_str() == name)
    }

    /// Returns the kind of a file, by its name.
    pub fn of_file(name: &str) -> Option<Self> {
        Self::named(name.strip_prefix(IN_NAME)?.strip_suffix(".txt")?)
    }

    /// Returns the name that the user gave the file.
    pub fn filename(self) -> String {
        format!("{IN_NAME}{self}.txt")
    }

    /// Returns the prompt version that its job names.
    pub const fn prompt_version(self) -> Option<&'static str> {
        match self {
            Self::Repaired | Self::Hopeless => Some("meeting-repair-v1"),
            Self::Parts => Some("minutes-map-reduce-v1"),
            Self::Accepted | Self::Rejected | Self::Empty | Self::Garbled | Self::Missing | Self::Poisoned(_) => None,
        }
    }

    /// Returns the code with which it ends when nothing is wrong with anything else; none where it succeeds.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Accepted | Self::Repaired | Self::Parts => None,
            Self::Rejected | Self::Hopeless => Some("schema_validation_failed"),
            Self::Empty => Some("transcript_empty"),
            Self::Garbled => Some("transcript_invalid_encoding"),
            Self::Missing => Some("transcript_not_found"),
            Self::Poisoned(poison) => poison.trouble().leads_to(),
        }
    }

    /// Returns the original; none where there is no object.
    pub fn transcript(self, file: Uuid) -> Option<Vec<u8>> {
        let talk = |bytes: usize| {
            let line =
                format!("Ana: {}, we come to the next point.\n", Marker { kind: self, file }.within(IN_TRANSCRIPT));
            line.repeat(bytes.div_ceil(line.len())).into_bytes()
        };
        match self {
            Self::Missing => None,
            Self::Empty => Some(b" \n\t\n".to_vec()),
            Self::Garbled => Some([talk(SHORT), vec![0xff, 0xfe, b'\n']].concat()),
            Self::Parts => Some(talk(LONG)),
            Self::Accepted | Self::Repaired | Self::Rejected | Self::Hopeless | Self::Poisoned(_) => Some(talk(SHORT)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// What is to become of it.
    pub kind: Kind,
    pub file: Uuid,
}

impl Marker {
    /// Returns the first one in a text, be it of a transcript or of an answer.
    pub fn find(text: &str) -> Option<Self> {
        let places = [IN_TRANSCRIPT, IN_ANSWER].into_iter().filter_map(|word| Some((text.find(word)?, word)));
        let (at, word) = places.min()?;
        let (kind, rest) = text[at + word.len()..].split_once('-')?;
        Some(Self { kind: Kind::named(kind)?, file: Uuid::try_parse(rest.get(..32)?).ok()? })
    }

    /// As it stands after such a word.
    pub fn within(self, word: &str) -> String {
        format!("{word}{}-{}", self.kind, self.file.simple())
    }
}

/// Returns what the stand-in answers when nothing is wrong with it.
pub fn answer(call: &Call) -> Reply {
    let text = call.text();
    let Some(marker) = Marker::find(&text) else { return Reply::error(400, "invalid_request_error", "no_marker") };
    let marked = marker.within(IN_ANSWER);
    if call.schema().is_some_and(|schema| schema.pointer("/properties/points").is_some()) {
        return Reply::json(&json!({ "points": [marked], "next_steps": [], "concerns": [] }));
    }
    // An answer among the messages is the one that is to be repaired.
    let again = call.body["messages"].as_array().into_iter().flatten().any(|message| message["role"] == "assistant");
    let good = match marker.kind {
        Kind::Rejected | Kind::Hopeless => false,
        Kind::Repaired => again,
        _ => true,
    };
    Reply::json(&report(&marked, good))
}

fn report(marked: &str, good: bool) -> Value {
    json!({
        "overview": format!("It is about {marked}."),
        "highlights": [format!("A point of {marked}.")],
        "next_steps": [{ "owner": "Ana", "action": "Go on.", "due_date": null }],
        "risk_level": if good { "low" } else { "severe" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_again_in_transcript_and_answer() {
        for kind in [Kind::Accepted, Kind::Parts, Kind::Hopeless, Kind::Poisoned(Poison::ServerError)] {
            assert_eq!(Kind::of_file(&kind.filename()), Some(kind));
            let marker = Marker { kind, file: Uuid::from_u128(7) };
            let transcript = String::from_utf8(kind.transcript(marker.file).unwrap()).unwrap();
            assert_eq!(Marker::find(&transcript), Some(marker));
            assert_eq!(Marker::find(&report(&marker.within(IN_ANSWER), true).to_string()), Some(marker));
        }
        assert_eq!(Marker::find("zqt-unknown-00000000000000000000000000000007"), None);
    }

    #[test]
    fn every_line_of_a_long_transcript_is_marked() {
        let text = String::from_utf8(Kind::Parts.transcript(Uuid::from_u128(7)).unwrap()).unwrap();
        assert!(text.len() > 2 * 15_000 && text.lines().all(|line| Marker::find(line).is_some()));
    }
}
