//! OpenAI's wire format, as far as a worker uses it: requests, completions, errors.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::MODEL;

/// Characters per token, for estimates. Real tokenizers give about four for English.
const CHARACTERS_PER_TOKEN: usize = 4;

/// A request for a chat completion; unknown members are ignored, as OpenAI's newer ones would be.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    pub(super) messages: Vec<Message>,
    pub(super) response_format: Option<ResponseFormat>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    temperature: Option<f64>,
    stream: Option<bool>,
}

/// One message of the conversation.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) role: String,
    #[serde(default)]
    content: Value,
}

/// What shape the answer is to have.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
}

/// The schema of a structured answer.
#[derive(Debug, Deserialize)]
pub(super) struct NamedSchema {
    #[serde(default)]
    name: String,
    pub(super) schema: Option<Value>,
}

impl ChatRequest {
    /// Reads and checks a request, with OpenAI's complaints.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let request: Self = serde_json::from_slice(bytes)
            .map_err(|_| ApiError::invalid("We could not parse the JSON body of your request.", None))?;
        if request.messages.is_empty() {
            return Err(ApiError::invalid("Invalid 'messages': empty array.", Some("messages")));
        }
        if request.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return Err(ApiError::invalid("Invalid 'temperature': must be between 0 and 2.", Some("temperature")));
        }
        if request.stream == Some(true) {
            return Err(ApiError::invalid("The stand-in does not stream.", Some("stream")));
        }
        if let Some(ResponseFormat::JsonSchema { json_schema }) = &request.response_format {
            let name = &json_schema.name;
            if name.is_empty()
                || name.len() > 64
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            {
                return Err(ApiError::invalid(
                    "Invalid 'response_format.json_schema.name'.",
                    Some("response_format.json_schema.name"),
                ));
            }
        }
        Ok(request)
    }

    /// The most tokens that the answer may have.
    pub(super) fn limit(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }
}

impl Message {
    /// The text: plain, or the text parts of a list.
    pub(super) fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect::<Vec<_>>().join("\n")
            }
            _ => String::new(),
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    ContentFilter,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
    pub(super) finish: Finish,
    pub(super) prompt_tokens: u64,
}

impl Completion {
    /// The response body.
    pub(super) fn body(&self, call: u64) -> String {
        let finish = match self.finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ContentFilter => "content_filter",
        };
        let answered = tokens(self.content.as_deref().or(self.refusal.as_deref()).unwrap_or(""));
        json!({
            "id": format!("chatcmpl-stand-in-{call}"),
            "object": "chat.completion",
            "created": now(),
            "model": MODEL,
            "system_fingerprint": MODEL,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": self.content, "refusal": self.refusal },
                "logprobs": null,
                "finish_reason": finish,
            }],
            "usage": { "prompt_tokens": self.prompt_tokens, "completion_tokens": answered, "total_tokens": self.prompt_tokens + answered },
        })
        .to_string()
    }
}

/// An estimate, by length.
pub(super) fn tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(CHARACTERS_PER_TOKEN) as u64
}

/// The text of a number of tokens, by the same estimate.
pub(super) fn cut_to(text: &str, tokens: u64) -> String {
    text.chars().take(usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(CHARACTERS_PER_TOKEN)).collect()
}

/// One entry of the list of models.
pub(super) fn model() -> Value {
    json!({ "id": MODEL, "object": "model", "created": 1_767_225_600, "owned_by": "assay-dev" })
}

/// The list of models.
pub(super) fn models() -> String {
    json!({ "object": "list", "data": [model()] }).to_string()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An error in OpenAI's shape.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<&'static str>,
    message: &'static str,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: Option<&'static str>, message: &'static str) -> Self {
        Self { status, retry_after: None, kind, code, param: None, message }
    }

    pub(super) fn invalid(message: &'static str, param: Option<&'static str>) -> Self {
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message) }
    }

    pub(super) fn invalid_schema() -> Self {
        Self::invalid(
            "Invalid schema for response_format: not a JSON Schema without remote references.",
            Some("response_format"),
        )
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        )
    }

    pub(super) fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("unknown_url"), "Unknown request URL.")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request_error",
            Some("method_not_supported"),
            "Not allowed with this method.",
        )
    }

    pub(super) fn unreadable() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            None,
            "The request is too large or broke off.",
        )
    }

    pub(super) fn rate_limited() -> Self {
        let error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached for the stand-in.",
        );
        Self { retry_after: Some(Duration::from_secs(1)), ..error }
    }

    pub(super) fn body(&self) -> String {
        json!({ "error": { "message": self.message, "type": self.kind, "param": self.param, "code": self.code } })
            .to_string()
    }
}
