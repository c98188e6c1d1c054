//! Sends one request and reads the reply.

use assay_core::{
    code::Code,
    open_files::{NO_FILE_LEFT, is_out_of_files},
};
use assay_network::ConnectionFault;
use reqwest::{
    RequestBuilder, Response,
    header::{CONTENT_TYPE, HeaderMap},
};

use crate::{
    classify::{apply_should_retry, classify, is_known_word},
    envelope::{Choice, Envelope, is_error},
    llm_config::LlmConfig,
    llm_error::LlmError,
    plain_word::{is_general_word, media_type, request_id},
    provider_error::ProviderError,
    response_body,
    retry_after::retry_after,
};

/// The reply to a request.
pub(crate) enum Reply {
    Answer(Box<Answer>),
    Refusal(Refusal),
}

/// A completion as the provider sent it.
pub(crate) struct Answer {
    pub choice: Choice,
    pub model: serde_json::Value,
    pub usage: serde_json::Value,
}

/// The refusal of a provider.
pub(crate) struct Refusal {
    pub status: u16,
    pub error: ProviderError,
    /// Headers of the response, with `Retry-After`.
    pub headers: HeaderMap,
}

/// Sends a request and reads the reply.
pub(crate) async fn send(request: RequestBuilder, config: &LlmConfig) -> Result<Reply, LlmError> {
    let mut response = request.send().await.map_err(|error| not_sent(error, config))?;
    let status = response.status().as_u16();
    if !response.status().is_success() {
        let error = ProviderError::parse(&response_body::read_error(&mut response, config.idle).await);
        return Ok(Reply::Refusal(Refusal { status, error, headers: response.headers().clone() }));
    }
    let body = response_body::read(&mut response, config.idle, config.answer_max_bytes).await?;
    let envelope = Envelope::parse(&body).map_err(|_| bad_envelope(&response, "is no completion", body.len()))?;
    let refusal = |error: &serde_json::Value| {
        let error = ProviderError::from_error(error);
        Reply::Refusal(Refusal { status: error.status.unwrap_or(status), error, headers: response.headers().clone() })
    };
    if is_error(&envelope.error) {
        return Ok(refusal(&envelope.error));
    }
    let Some(choice) = envelope.choices.into_iter().flatten().next() else {
        return Err(bad_envelope(&response, "has no choices", body.len()));
    };
    if is_error(&choice.error) {
        return Ok(refusal(&choice.error));
    }
    Ok(Reply::Answer(Box::new(Answer { choice, model: envelope.model, usage: envelope.usage })))
}

/// Returns the error of a request without a response.
pub(crate) fn not_sent(error: reqwest::Error, config: &LlmConfig) -> LlmError {
    if error.is_connect() && error.is_timeout() {
        return LlmError::timeout("no connection", config.connect, "LLM_CONNECT_TIMEOUT_MS");
    }
    if error.is_connect() && is_out_of_files(&error) {
        return LlmError::new(Code::WorkerOutOfFiles, format!("call the model: {NO_FILE_LEFT}"));
    }
    let message = match ConnectionFault::of(&error).filter(|_| error.is_connect()) {
        Some(fault) => format!("call the model: {fault}"),
        None if error.is_connect() => "call the model: no connection".to_owned(),
        None => "call the model: the connection broke before the answer".to_owned(),
    };
    LlmError::network(message, error)
}

/// Returns the error of a refusal.
pub(crate) fn rejected(operation: &str, status: u16, error: &ProviderError, headers: &HeaderMap) -> LlmError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let should_retry = text("x-should-retry").and_then(|value| value.trim().parse().ok());
    let code = apply_should_retry(classify(status, &error.tokens()), should_retry);
    let mut message = format!("{operation}: {status}");
    // Only words that are in our tables are shown: any other may be of the document.
    for word in error.tokens().into_iter().filter(|word| is_known_word(word) || is_general_word(word)) {
        message.push(' ');
        message.push_str(word);
    }
    // With the request's id an operator can ask the provider.
    if let Some(id) = text("x-request-id").and_then(request_id) {
        message.push_str(&format!(" (request {id})"));
    }
    LlmError { retry_after: retry_after(headers), ..LlmError::new(code, message) }
}

fn bad_envelope(response: &Response, what: &str, bytes: usize) -> LlmError {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // "text/html" points to a login page or a gateway.
    let kind = kind.and_then(media_type).map(|kind| format!(" of type {kind}")).unwrap_or_default();
    LlmError::new(Code::LlmBadEnvelope, format!("read the answer: a body of {bytes} bytes{kind} {what}"))
}
