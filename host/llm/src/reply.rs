//! Sends one request and reads the reply.

use assay_core::{
    code::Code,
    open_files::{NO_FILE_LEFT, is_out_of_files},
};
use assay_network::ConnectionFault;
use reqwest::{
    RequestBuilder,
    header::{CONTENT_TYPE, HeaderMap},
};

use crate::{
    answer::{Answer, Asked, BodyContent},
    chat,
    classify::{apply_should_retry, classify, is_known_word},
    completion::Usage,
    lenient_json,
    llm_config::LlmConfig,
    llm_error::LlmError,
    plain_word::{is_general_word, is_moderation_reason, media_type, request_id},
    provider_error::ProviderError,
    response_body,
    retry_after::{retry_after, used_up},
    unreadable::UnreadableAnswer,
};

/// The reply to a request.
pub(crate) enum Reply {
    Answer(Box<Received>),
    Refusal(Box<Refusal>),
}

/// A completion, with the body that it was read from.
pub(crate) struct Received {
    pub answer: Answer,
    pub body: Body,
}

/// The body of a success.
pub(crate) struct Body {
    bytes: Vec<u8>,
    /// Its media type, where that is a usual one.
    kind: Option<&'static str>,
    /// As much of it is kept where it holds no answer.
    max_kept_bytes: usize,
}

/// The refusal of a provider.
pub(crate) struct Refusal {
    pub status: u16,
    pub error: ProviderError,
    /// Headers of the response, with `Retry-After`.
    pub headers: HeaderMap,
}

/// Sends a request and reads the reply.
pub(crate) async fn send(request: RequestBuilder, config: &LlmConfig, asked: Asked) -> Result<Reply, LlmError> {
    let mut response = request.send().await.map_err(|error| not_sent(error, config))?;
    let status = response.status().as_u16();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(media_type);
    if !response.status().is_success() {
        let mut error = ProviderError::parse(&response_body::read_error(&mut response, config.idle).await);
        error.is_page |= kind == Some("text/html");
        return Ok(Reply::Refusal(Box::new(Refusal { status, error, headers: response.headers().clone() })));
    }
    let (bytes, value) = if kind == Some("text/event-stream") {
        let value = response_body::fold_stream(&mut response, config.idle, config.answer_max_bytes).await?;
        (value.to_string().into_bytes(), Some(value))
    } else {
        let bytes = response_body::read(&mut response, config.idle, config.answer_max_bytes).await?;
        let value = lenient_json::parse(&bytes);
        (bytes, value)
    };
    let body = Body { bytes, kind, max_kept_bytes: config.answer_max_bytes };
    let Some(value) = value else { return Err(body.unreadable("is no completion", None)) };
    match chat::read(value, asked) {
        BodyContent::Answer(answer) => Ok(Reply::Answer(Box::new(Received { answer, body }))),
        BodyContent::Error(error) => {
            let status = error.status.unwrap_or(status);
            Ok(Reply::Refusal(Box::new(Refusal { status, error, headers: response.headers().clone() })))
        }
        BodyContent::Nothing { what, usage } => Err(body.unreadable(what, usage)),
    }
}

impl Body {
    /// Returns the error of a success that holds no answer.
    pub(crate) fn unreadable(&self, what: &str, usage: Option<Usage>) -> LlmError {
        // "text/html" points to a login page or a gateway.
        let kind = self.kind.map(|kind| format!(" of type {kind}")).unwrap_or_default();
        let answer = UnreadableAnswer::new(&self.bytes, self.max_kept_bytes, usage);
        let name = answer.name().map(|name| format!(" ({name})")).unwrap_or_default();
        let message = format!("read the answer: a body of {} bytes{kind} {what}{name}", self.bytes.len());
        LlmError { unreadable: Some(Box::new(answer)), ..LlmError::new(Code::LlmBadEnvelope, message) }
    }
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

/// Headers that hold the id of a request, most specific first: OpenAI, Anthropic, Azure, OpenRouter, Cloudflare.
const REQUEST_IDS: &[&str] =
    &["x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-generation-id", "cf-ray"];

/// Returns the error of a refusal.
pub(crate) fn rejected(operation: &str, status: u16, error: &ProviderError, headers: &HeaderMap) -> LlmError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let should_retry = text("x-should-retry").and_then(|value| value.trim().parse().ok());
    let code = apply_should_retry(classify(status, error), should_retry);
    let mut message = format!("{operation}: {status}");
    if error.is_page {
        message.push_str(" of type text/html");
    }
    // Only words that are in our tables are shown: any other may be of the document.
    let is_shown = |word: &&str| is_known_word(word) || is_general_word(word) || is_moderation_reason(word);
    for word in error.tokens().into_iter().chain(error.moderation.iter().map(String::as_str)).filter(is_shown) {
        message.push(' ');
        message.push_str(word);
    }
    // With the request's id an operator can ask the provider.
    if let Some(id) = REQUEST_IDS.iter().find_map(|name| text(name).and_then(request_id)) {
        message.push_str(&format!(" (request {id})"));
    }
    let waits = matches!(status, 429 | 498 | 503 | 529) || code == Code::LlmRateLimited;
    let wait = retry_after(headers).or(error.wait).or_else(|| used_up(headers).filter(|_| waits));
    LlmError { retry_after: wait, ..LlmError::new(code, message) }
}
