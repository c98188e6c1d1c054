//! Reads the body of a success, leniently.
//!
//! Compatible servers leave out `object`, send null or "" for a finish reason, and add fields of their own. Only the needed
//! fields are read. An unreadable field that is not needed must not make a paid answer unreadable.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

/// JSON allows readers to ignore a byte-order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A success body. Fields that are not needed for the text may hold anything.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    /// Null beside an error, in some gateways.
    pub choices: Option<Vec<Choice>>,
    #[serde(default, deserialize_with = "null_if_unreadable")]
    pub model: Value,
    #[serde(default, deserialize_with = "null_if_unreadable")]
    pub usage: Value,
    #[serde(default, deserialize_with = "null_if_unreadable")]
    pub error: Value,
}

impl Envelope {
    /// Reads a success body.
    ///
    /// # Errors
    /// Fails if the body is not a completion.
    pub(crate) fn parse(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body))
    }
}

#[derive(Deserialize)]
pub(crate) struct Choice {
    pub message: Option<ChoiceMessage>,
    #[serde(default, deserialize_with = "null_if_unreadable")]
    pub finish_reason: Value,
    /// OpenRouter reports an upstream that failed during the answer here.
    #[serde(default, deserialize_with = "null_if_unreadable")]
    pub error: Value,
}

#[derive(Default, Deserialize)]
pub(crate) struct ChoiceMessage {
    content: Option<Content>,
    #[serde(default, deserialize_with = "null_if_unreadable")]
    refusal: Value,
}

/// Reads a field that is not needed. Returns null if it is too deep or has half a surrogate pair.
fn null_if_unreadable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(text.get()).unwrap_or_default())
}

/// Returns whether a field `error` reports an error. Some servers always send it, empty beside an answer.
pub(crate) fn is_error(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

/// Text, or text in parts: Mistral and some gateways send parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

impl ChoiceMessage {
    /// Returns the text, and the refusal if there is one.
    pub(crate) fn into_text(self) -> (String, Option<String>) {
        let mut refusal = self.refusal.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let text = match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(part.text.as_deref().unwrap_or_default());
                    refusal = refusal.or(part.refusal);
                }
                text
            }
        };
        (text, refusal)
    }
}

/// Returns whether a list of models has this model; `None` if the body is not such a list.
pub(crate) fn lists_model(body: &[u8], model: &str) -> Option<bool> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let models = body.get("data")?.as_array()?;
    Some(models.iter().any(|entry| entry.get("id").and_then(Value::as_str) == Some(model)))
}
