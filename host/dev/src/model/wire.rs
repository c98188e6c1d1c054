//! OpenAI's wire format, as far as a worker uses it: requests, completions, errors.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// The name under which the stand-in shows.
pub const MODEL: &str = "stand-in";

/// Real tokenizers give about four for English.
const CHARACTERS_PER_TOKEN: usize = 4;

#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    pub(super) messages: Vec<Message>,
    pub(super) response_format: Option<ResponseFormat>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    temperature: Option<f64>,
    stream: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedSchema {
    #[serde(default)]
    name: String,
    pub(super) schema: Option<Value>,
}

impl ChatRequest {
    /// Reads a request and refuses what OpenAI refuses.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let request: Self = serde_json::from_slice(bytes).map_err(|_| ApiError::UNREADABLE)?;
        if request.messages.is_empty() {
            return Err(ApiError::invalid("Invalid 'messages': empty array.", "messages"));
        }
        if request.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return Err(ApiError::invalid("Invalid 'temperature': must be between 0 and 2.", "temperature"));
        }
        if request.stream == Some(true) {
            return Err(ApiError::invalid("The stand-in does not stream.", "stream"));
        }
        if let Some(ResponseFormat::JsonSchema { json_schema: NamedSchema { name, .. } }) = &request.response_format {
            let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            if !(1..=64).contains(&name.len()) || !name.bytes().all(is_allowed) {
                let message = "Invalid 'response_format.json_schema.name'.";
                return Err(ApiError::invalid(message, "response_format.json_schema.name"));
            }
        }
        Ok(request)
    }

    pub(super) fn max_answer_tokens(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }
}

impl Message {
    /// Returns a plain content, or the text parts of a list.
    pub(super) fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
            _ => String::new(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Completion {
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
    pub(super) finish_reason: &'static str,
    pub(super) prompt_tokens: u64,
}

impl Completion {
    #[expect(clippy::disallowed_methods, reason = "the creation time in an answer of the stand-in; nothing stores it")]
    pub(super) fn body(&self, call: u64) -> String {
        let completion_tokens = tokens(self.content.as_deref().or(self.refusal.as_deref()).unwrap_or(""));
        json!({
            "id": format!("chatcmpl-stand-in-{call}"),
            "object": "chat.completion",
            "created": SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            "model": MODEL,
            "system_fingerprint": MODEL,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": self.content, "refusal": self.refusal },
                "logprobs": null,
                "finish_reason": self.finish_reason,
            }],
            "usage": {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": self.prompt_tokens + completion_tokens,
            },
        })
        .to_string()
    }
}

/// Estimates the tokens of a text by its length.
pub(super) fn tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(CHARACTERS_PER_TOKEN) as u64
}

/// Cuts a text to a number of tokens, by the same estimate.
pub(super) fn cut_to_tokens(text: &str, tokens: u64) -> String {
    text.chars().take(usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(CHARACTERS_PER_TOKEN)).collect()
}

pub(super) fn models() -> String {
    let model = json!({ "id": MODEL, "object": "model", "created": 1_767_225_600, "owned_by": "assay-dev" });
    json!({ "object": "list", "data": [model] }).to_string()
}

/// An error in OpenAI's shape.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<&'static str>,
    message: &'static str,
}

impl ApiError {
    pub(super) const UNREADABLE: Self =
        Self::new(StatusCode::BAD_REQUEST, None, "We could not parse the JSON body of your request.");
    pub(super) const INVALID_SCHEMA: Self = Self::invalid(
        "Invalid schema for response_format: not a JSON Schema without remote references.",
        "response_format",
    );
    pub(super) const UNAUTHORIZED: Self =
        Self::new(StatusCode::UNAUTHORIZED, Some("invalid_api_key"), "Incorrect API key provided.");
    pub(super) const UNKNOWN_URL: Self = Self::new(StatusCode::NOT_FOUND, Some("unknown_url"), "Unknown request URL.");
    pub(super) const RATE_LIMITED: Self = Self {
        kind: "requests",
        ..Self::new(StatusCode::TOO_MANY_REQUESTS, Some("rate_limit_exceeded"), "Rate limit reached for the stand-in.")
    };

    const fn new(status: StatusCode, code: Option<&'static str>, message: &'static str) -> Self {
        Self { status, kind: "invalid_request_error", code, param: None, message }
    }

    pub(super) const fn invalid(message: &'static str, param: &'static str) -> Self {
        Self { param: Some(param), ..Self::new(StatusCode::BAD_REQUEST, None, message) }
    }

    pub(super) fn body(&self) -> String {
        json!({ "error": { "message": self.message, "type": self.kind, "param": self.param, "code": self.code } })
            .to_string()
    }
}
