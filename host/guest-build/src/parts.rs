//! What the generic guest is made of, as it is injected. The guest's own reader is `guest/generic/src/parts.rs`.

use serde::{Deserialize, Serialize};

/// The parts of a guest without code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Name of the prompt.
    pub prompt_version: String,
    /// Name of the schema.
    pub schema_version: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// The JSON Schema's text; `describe` returns it word for word.
    pub schema: String,
    /// The prompt; empty makes a verifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// A model by the operator's alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Upper bound for the answer, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
}

/// One chat message; `content` is a template with placeholders such as `{{transcript}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// "system", "user" or "assistant".
    pub role: String,
    /// The template.
    pub content: String,
}

impl Parts {
    /// The bytes to inject; the same parts give the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers have a JSON form")
    }
}

/// The parts that make the generic guest the verifier of a schema: its `check` says whether a document satisfies it.
pub fn verifier_parts(schema: &str) -> Vec<u8> {
    let verifier = Parts {
        prompt_version: "verifier".to_owned(),
        schema_version: "verifier".to_owned(),
        description: "Checks documents against one schema.".to_owned(),
        schema: schema.to_owned(),
        messages: Vec::new(),
        model: None,
        max_output_tokens: None,
        temperature: None,
    };
    verifier.to_json()
}
