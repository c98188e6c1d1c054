//! The data of `wit/report.wit` as plain Rust values.
//!
//! The bindings are generated onto these types, so a call copies each text once and converts nothing. They have users' documents
//! and guests' texts, so `Debug` shows sizes instead of text. Serialize a value to get its text.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};
use wasmtime::component::{ComponentType, Lift, Lower};

/// The document of a job: the same at every call for the job. Content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Transcript {
    /// Stable id of the file.
    pub id: String,
    /// UTF-8 text as stored, without a byte-order mark.
    pub text: String,
    /// IANA media type: "text/plain" or "text/vtt".
    #[component(name = "media-type")]
    pub media_type: String,
    /// Name the user gave the file; may be empty.
    pub filename: String,
    /// When the file was received, RFC 3339 in UTC; the guest's only clock.
    #[component(name = "received-at")]
    pub received_at: String,
    /// Names and values that the application attached to the file, sorted by name.
    pub attributes: Vec<(String, String)>,
}

/// One chat message. Content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Message {
    /// "system", "user" or "assistant".
    pub role: String,
    /// Text of the message.
    pub content: Arc<str>,
}

/// One question for the model. Content.
#[derive(Clone, PartialEq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Prompt {
    /// The chat, oldest message first.
    pub messages: Vec<Message>,
    /// JSON Schema for the answer, as text. `None`: free text.
    #[component(name = "answer-schema")]
    pub answer_schema: Option<Arc<str>>,
    /// The operator's alias of a model. `None`: the worker's default.
    pub model: Option<String>,
    /// Upper bound of the answer, in tokens. `None`: the host's.
    #[component(name = "max-output-tokens")]
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2. `None`: the provider's.
    #[serde(serialize_with = "shortest")]
    pub temperature: Option<f32>,
}

/// Writes a number with the digits that it was written with: 0.2, and not 0.20000000298023224.
fn shortest<S: Serializer>(number: &Option<f32>, serializer: S) -> Result<S::Ok, S::Error> {
    number.map(|number| number.to_string().parse::<f64>().unwrap_or(number.into())).serialize(serializer)
}

impl Prompt {
    /// Returns the size of messages and schema, in bytes: the measure for `PROMPT_MAX_BYTES`.
    pub fn bytes(&self) -> usize {
        let messages: usize = self.messages.iter().map(|message| message.role.len() + message.content.len()).sum();
        messages + self.answer_schema.as_deref().map_or(0, str::len)
    }
}

/// A complete answer of the model. Content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Answer {
    /// Text of the answer.
    pub text: String,
    /// The provider's name of the model.
    pub model: String,
}

/// One reason for a rejection, or one note on a report.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Finding {
    /// JSON Schema keyword ("required") or the guest's own rule name: `[a-z0-9._-]`, at most 64 bytes; an open set.
    pub code: String,
    /// RFC 6901 pointer into the document; "" is the whole document.
    pub pointer: String,
    /// One line for a person. Content: kept in the run folder only, never logged.
    pub message: String,
}

/// An accepted report: one JSON document, and notes on it. Content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Report {
    /// JSON, as text.
    pub document: String,
    /// Notes on the document.
    pub notes: Vec<Finding>,
}

/// Why a guest rejects the answers. Content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[serde(rename_all = "snake_case")]
#[component(variant)]
pub enum Rejection {
    /// An answer is not JSON; the parser's message.
    #[component(name = "not-json")]
    NotJson(String),
    /// JSON that breaks the schema or the guest's own rules.
    #[component(name = "invalid")]
    Invalid(Vec<Finding>),
    /// The guest does not handle such input; its message.
    #[component(name = "unsupported")]
    Unsupported(String),
    /// Another reason: code and message.
    #[component(name = "other")]
    Other((String, String)),
}

/// The guest's next step.
#[derive(Clone, PartialEq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[serde(rename_all = "snake_case")]
#[component(variant)]
pub enum Step {
    /// Asks the model these questions and calls the guest again with the answers.
    #[component(name = "ask")]
    Ask(Vec<Prompt>),
    /// Ends with a report.
    #[component(name = "accept")]
    Accept(Report),
    /// Ends without a report.
    #[component(name = "reject")]
    Reject(Rejection),
}

/// A guest's description of itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Manifest {
    /// Version of the prompt; jobs are routed by it.
    #[component(name = "prompt-version")]
    pub prompt_version: String,
    /// Version of the schema.
    #[component(name = "schema-version")]
    pub schema_version: String,
    /// JSON Schema (2020-12) of every accepted document, as text.
    pub schema: String,
    /// One line for an operator.
    pub description: String,
}

/// Shows the size of a text instead of the text.
struct SizeOnly<'a>(&'a str);

impl fmt::Debug for SizeOnly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("text", &SizeOnly(&self.text))
            .field("attributes", &self.attributes.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message").field(&SizeOnly(&self.content)).finish()
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt")
            .field("messages", &self.messages)
            .field("answer_schema", &self.answer_schema.as_deref().map(SizeOnly))
            .field("max_output_tokens", &self.max_output_tokens)
            .field("temperature", &self.temperature)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&SizeOnly(&self.text)).finish()
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("code", &SizeOnly(&self.code))
            .field("pointer", &SizeOnly(&self.pointer))
            .field("message", &SizeOnly(&self.message))
            .finish()
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("document", &SizeOnly(&self.document)).field("notes", &self.notes).finish()
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(text) => f.debug_tuple("NotJson").field(&SizeOnly(text)).finish(),
            Self::Invalid(findings) => f.debug_tuple("Invalid").field(findings).finish(),
            Self::Unsupported(text) => f.debug_tuple("Unsupported").field(&SizeOnly(text)).finish(),
            Self::Other((code, text)) => f.debug_tuple("Other").field(&SizeOnly(code)).field(&SizeOnly(text)).finish(),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(prompts) => f.debug_tuple("Ask").field(prompts).finish(),
            Self::Accept(report) => f.debug_tuple("Accept").field(report).finish(),
            Self::Reject(rejection) => f.debug_tuple("Reject").field(rejection).finish(),
        }
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("prompt_version", &self.prompt_version)
            .field("schema_version", &self.schema_version)
            .field("schema", &SizeOnly(&self.schema))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_has_the_digits_that_it_was_written_with() {
        let written = |temperature| {
            let prompt =
                Prompt { messages: Vec::new(), answer_schema: None, model: None, max_output_tokens: None, temperature };
            serde_json::to_value(prompt).expect("a prompt is JSON")["temperature"].to_string()
        };
        for (temperature, text) in [(0.2, "0.2"), (0.7, "0.7"), (1.0, "1.0"), (0.333_333_34, "0.33333334")] {
            assert_eq!(written(Some(temperature)), text);
        }
        assert_eq!(written(None), "null");
    }
}
