//! The data of `wit/report.wit` as plain Rust values.
//!
//! These are the very types that cross the sandbox boundary: the bindings are generated onto them, so a call copies each text once and converts nothing.
//! They carry users' documents and guests' words, so their `Debug` shows sizes instead of text; whoever needs the text serializes it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// The document a job is about. The same at every call for a job.
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
    /// Facts that the application attached to the file, sorted by name.
    pub attributes: Vec<(String, String)>,
}

/// One chat message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Message {
    /// "system", "user" or "assistant".
    pub role: String,
    /// What is said.
    pub content: Arc<str>,
}

/// One question for the model.
#[derive(Clone, PartialEq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Prompt {
    /// The chat, oldest message first.
    pub messages: Vec<Message>,
    /// JSON Schema the provider is asked to hold its answer to; none for free text.
    #[component(name = "answer-schema")]
    pub answer_schema: Option<Arc<str>>,
    /// A model by the operator's alias; none is the worker's default.
    pub model: Option<String>,
    /// Upper bound for the answer, in tokens; none leaves it to the host.
    #[component(name = "max-output-tokens")]
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2; none leaves it to the provider.
    pub temperature: Option<f32>,
}

impl Prompt {
    /// What counts towards the limit of a question: messages and schema.
    pub fn bytes(&self) -> usize {
        let messages: usize = self.messages.iter().map(|message| message.role.len() + message.content.len()).sum();
        messages + self.answer_schema.as_deref().map_or(0, str::len)
    }
}

/// A complete answer of the model.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Answer {
    /// The whole text.
    pub text: String,
    /// The model that gave it, as the provider names it.
    pub model: String,
}

/// One reason for a refusal, or one remark.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Finding {
    /// JSON Schema keyword ("required") or the guest's own rule name: `[a-z0-9._-]`, at most 64 bytes; an open set.
    pub code: String,
    /// RFC 6901 pointer into the document; "" is the whole of it.
    pub pointer: String,
    /// One line for a person. Kept in the run folder only, never logged.
    pub message: String,
}

/// An accepted report: one JSON document, and remarks about it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Report {
    /// JSON text.
    pub document: String,
    /// Remarks about it.
    pub notes: Vec<Finding>,
}

/// Why a guest refuses the answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[serde(rename_all = "snake_case")]
#[component(variant)]
pub enum Rejection {
    /// The answer is no JSON; what the parser says.
    #[component(name = "not-json")]
    NotJson(String),
    /// JSON that breaks the schema or the guest's own rules.
    #[component(name = "invalid")]
    Invalid(Vec<Finding>),
    /// Input of a kind that this version does not handle.
    #[component(name = "unsupported")]
    Unsupported(String),
    /// Room for later meanings: code, text.
    #[component(name = "other")]
    Other((String, String)),
}

/// What a guest wants next.
#[derive(Clone, PartialEq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[serde(rename_all = "snake_case")]
#[component(variant)]
pub enum Step {
    /// Ask the model these questions, then call again.
    #[component(name = "ask")]
    Ask(Vec<Prompt>),
    /// Done: the report.
    #[component(name = "accept")]
    Accept(Report),
    /// Done: no report can be made of these answers.
    #[component(name = "reject")]
    Reject(Rejection),
}

/// What a guest says about itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Manifest {
    /// Names the prompt; jobs are routed by it.
    #[component(name = "prompt-version")]
    pub prompt_version: String,
    /// Names the schema.
    #[component(name = "schema-version")]
    pub schema_version: String,
    /// The JSON Schema (2020-12) that every accepted document satisfies.
    pub schema: String,
    /// One line for an operator.
    pub description: String,
}

/// Shows a text as its size.
struct Sized<'a>(&'a str);

impl fmt::Debug for Sized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("text", &Sized(&self.text))
            .field("attributes", &self.attributes.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message").field(&Sized(&self.content)).finish()
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt")
            .field("messages", &self.messages)
            .field("answer_schema", &self.answer_schema.as_deref().map(Sized))
            .field("max_output_tokens", &self.max_output_tokens)
            .field("temperature", &self.temperature)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&Sized(&self.text)).finish()
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("code", &Sized(&self.code))
            .field("pointer", &Sized(&self.pointer))
            .field("message", &Sized(&self.message))
            .finish()
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("document", &Sized(&self.document)).field("notes", &self.notes).finish()
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(text) => f.debug_tuple("NotJson").field(&Sized(text)).finish(),
            Self::Invalid(findings) => f.debug_tuple("Invalid").field(findings).finish(),
            Self::Unsupported(text) => f.debug_tuple("Unsupported").field(&Sized(text)).finish(),
            Self::Other((code, text)) => f.debug_tuple("Other").field(&Sized(code)).field(&Sized(text)).finish(),
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
            .field("schema", &Sized(&self.schema))
            .finish_non_exhaustive()
    }
}
