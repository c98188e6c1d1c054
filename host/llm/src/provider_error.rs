//! Reads the error of a provider.

use serde_json::Value;

use crate::plain_word::plain_word;

/// The error of a provider, in any shape that compatible servers use.
#[derive(Debug, Default)]
pub(crate) struct ProviderError {
    /// Lower case, without spaces.
    pub code: Option<String>,
    /// Lower case, without spaces.
    pub kind: Option<String>,
    /// The rejected parameter.
    pub param: Option<String>,
    /// A status in the body: gateways put errors of the upstream into a success.
    pub status: Option<u16>,
    /// Lower case. Only searched, never shown: it may quote the prompt.
    text: String,
}

impl ProviderError {
    /// Reads an error body. A body that is not JSON is kept as text.
    pub(crate) fn parse(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_body(&value),
            Err(_) => Self { text: String::from_utf8_lossy(body).to_ascii_lowercase(), ..Self::default() },
        }
    }

    fn from_body(body: &Value) -> Self {
        // Gemini wraps the object in a list.
        let body = body.get(0).unwrap_or(body);
        match body.get("error") {
            Some(error) if !error.is_null() => Self::from_error(error),
            // vLLM puts the fields at the top level, FastAPI has `detail`.
            _ => Self::from_error(body),
        }
    }

    /// Reads the value of the field `error`.
    pub(crate) fn from_error(error: &Value) -> Self {
        let word = |name: &str| error.get(name).and_then(Value::as_str).and_then(plain_word);
        let number = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        Self {
            code: word("code").filter(|_| number.is_none()),
            // Gemini calls it `status`.
            kind: word("type").or_else(|| word("status")),
            param: word("param").or_else(|| first_location(error)),
            status: number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..600).contains(status)),
            text: match error {
                Value::String(text) => text.to_ascii_lowercase(),
                _ => {
                    let text = error.get("message").or_else(|| error.get("detail")).and_then(Value::as_str);
                    text.unwrap_or_default().to_ascii_lowercase()
                }
            },
        }
    }

    /// Returns the words for [`classify`](crate::classify), most specific first.
    pub(crate) fn tokens(&self) -> Vec<&str> {
        self.code.as_deref().into_iter().chain(self.kind.as_deref()).collect()
    }

    /// Returns whether the error names this parameter, or names none and has one of these words in its text.
    pub(crate) fn is_about(&self, param: &str, words: &[&str]) -> bool {
        match self.param.as_deref() {
            Some(named) => named == param || named.starts_with(&format!("{param}.")),
            None => self.says(words),
        }
    }

    /// Returns whether the text has one of these words.
    pub(crate) fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }
}

/// Reads the parameter from the shape of FastAPI: `{"detail": [{"loc": ["body", "response_format", "type"], …}]}`.
fn first_location(error: &Value) -> Option<String> {
    let location = error.get("detail")?.get(0)?.get("loc")?.as_array()?;
    location.iter().filter_map(Value::as_str).find(|part| *part != "body").and_then(plain_word)
}
