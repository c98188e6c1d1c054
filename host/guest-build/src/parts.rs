//! The parts that are injected into the generic guest. Its own reader is `guest/generic/src/parts.rs`.

use serde::{Deserialize, Serialize};

/// The parts of a guest without code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    pub prompt_version: String,
    pub schema_version: String,
    #[serde(default)]
    pub description: String,
    /// Text of the JSON Schema; `describe` returns the same bytes.
    pub schema: String,
    /// The prompt. Empty for a verifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// The operator's alias of a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Upper bound of the answer, in tokens.
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
    pub content: String,
}

impl Parts {
    /// Returns the bytes to inject; the same parts give the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers have a JSON form")
    }
}

/// Returns the parts for a verifier of a schema: a guest whose `check` validates a document against it.
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
