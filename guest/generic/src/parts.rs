//! The injected JSON: the parts of a guest without code.

use assay_guest::{InitError, Template};
use serde::Deserialize;
use serde_json::Value;

/// Unknown names are refused: a misspelled name must not act as a default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parts {
    pub(crate) prompt_version: String,
    pub(crate) schema_version: String,
    #[serde(default)]
    pub(crate) description: String,
    /// A JSON Schema, as an object or as text; the text is kept unchanged.
    schema: Value,
    /// The prompt; without messages the guest is a verifier.
    #[serde(default)]
    messages: Vec<MessagePart>,
    pub(crate) model: Option<String>,
    pub(crate) max_output_tokens: Option<u32>,
    pub(crate) temperature: Option<f32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagePart {
    role: String,
    content: String,
}

impl Parts {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, InitError> {
        let parts: Self = serde_json::from_slice(json).map_err(|error| InitError::new(format!("parts: {error}")))?;
        for (name, value) in [("prompt_version", &parts.prompt_version), ("schema_version", &parts.schema_version)] {
            if value.is_empty() {
                return Err(InitError::new(format!("{name} is empty")));
            }
        }
        if parts.temperature.is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
            return Err(InitError::new("temperature must be 0 to 2"));
        }
        Ok(parts)
    }

    pub(crate) fn schema_text(&self) -> String {
        match &self.schema {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    pub(crate) fn templates(&self) -> Result<Vec<(String, Template)>, InitError> {
        let mut templates = Vec::with_capacity(self.messages.len());
        for (index, part) in self.messages.iter().enumerate() {
            let place = |error: &str| InitError::new(format!("message {} ({}): {error}", index + 1, part.role));
            if !["system", "user", "assistant"].contains(&part.role.as_str()) {
                return Err(place("role must be system, user or assistant"));
            }
            let template = Template::parse(&part.content).map_err(|error| place(&error.to_string()))?;
            templates.push((part.role.clone(), template));
        }
        let shown = templates.iter().any(|(_, template)| template.shows_transcript());
        if !templates.is_empty() && !shown {
            return Err(InitError::new("no message shows {{transcript}}"));
        }
        Ok(templates)
    }
}
