//! One request and its response: what came back, and what it means that nothing did.

use assay_core::code::Code;
use reqwest::{
    RequestBuilder, Response,
    header::{CONTENT_TYPE, HeaderMap},
};

use super::{
    body,
    classify::{classify, obey},
    config::LlmConfig,
    error::LlmError,
    retry_after::retry_after,
    wire::{self, Choice, Envelope, ProviderError},
};

/// A completion as it came over the wire.
pub(super) struct Answer {
    pub choice: Choice,
    pub model: serde_json::Value,
    pub usage: serde_json::Value,
}

/// A provider's refusal. Headers, because `Retry-After` is among them.
pub(super) struct Failure {
    pub status: u16,
    pub error: ProviderError,
    pub headers: HeaderMap,
}

/// One request and its response: an answer, or the provider's refusal.
pub(super) async fn exchange(request: RequestBuilder, config: &LlmConfig) -> Result<Result<Answer, Failure>, LlmError> {
    let mut response = request.send().await.map_err(|error| not_sent(error, config))?;
    let status = response.status().as_u16();
    if !response.status().is_success() {
        let error = ProviderError::parse(&body::read_error(&mut response, config.idle).await);
        return Ok(Err(Failure { status, error, headers: response.headers().clone() }));
    }
    let body = body::read(&mut response, config.idle, config.answer_max_bytes).await?;
    let envelope = Envelope::parse(&body).map_err(|_| bad_envelope(&response, "is no completion", body.len()))?;
    let failure = |error: &serde_json::Value| {
        let error = ProviderError::from_error(error);
        Failure { status: error.status.unwrap_or(status), error, headers: response.headers().clone() }
    };
    if wire::reports(&envelope.error) {
        return Ok(Err(failure(&envelope.error)));
    }
    let Some(choice) = envelope.choices.into_iter().flatten().next() else {
        return Err(bad_envelope(&response, "has no choices", body.len()));
    };
    if wire::reports(&choice.error) {
        return Ok(Err(failure(&choice.error)));
    }
    Ok(Ok(Answer { choice, model: envelope.model, usage: envelope.usage }))
}

/// The error of a request that got no response.
pub(super) fn not_sent(error: reqwest::Error, config: &LlmConfig) -> LlmError {
    if error.is_connect() && error.is_timeout() {
        return LlmError::timeout("no connection", config.connect, "LLM_CONNECT_TIMEOUT_MS");
    }
    let message = if error.is_connect() {
        "call the model: no connection"
    } else {
        "call the model: the connection broke before the answer"
    };
    LlmError::network(message, error)
}

/// The error of a provider's refusal.
pub(super) fn rejected(operation: &str, status: u16, error: &ProviderError, headers: &HeaderMap) -> LlmError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let should_retry = text("x-should-retry").and_then(|value| value.trim().parse().ok());
    let code = obey(classify(status, &error.tokens()), should_retry);
    let mut message = format!("{operation}: {status}");
    // The provider's words are shown where they are words; its id lets an operator ask the provider.
    for word in error.tokens() {
        message.push(' ');
        message.push_str(word);
    }
    if let Some(id) = text("x-request-id").and_then(wire::token) {
        message.push_str(&format!(" (request {id})"));
    }
    LlmError { retry_after: retry_after(headers), ..LlmError::new(code, message) }
}

fn bad_envelope(response: &Response, what: &str, bytes: usize) -> LlmError {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // "text/html" tells of a login page or a gateway.
    let kind = kind.and_then(|kind| kind.split(';').next()?.split_once('/'));
    let kind = kind.and_then(|(kind, sub)| Some(format!(" of type {}/{}", wire::token(kind)?, wire::token(sub)?)));
    let kind = kind.unwrap_or_default();
    LlmError::new(Code::LlmBadEnvelope, format!("read the answer: a body of {bytes} bytes{kind} {what}"))
}
