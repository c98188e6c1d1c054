//! Reads the body of a response within a size limit and an idle deadline.

use std::time::Duration;

use assay_core::code::Code;
use bytes::Bytes;
use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    chat::ChatStream,
    event_stream::{EventDecoder, TooLarge},
    llm_error::LlmError,
};

/// Enough for codes and parameter names; the rest of an error body is not read.
const MAX_ERROR_BODY_BYTES: usize = 64 << 10;

/// Space for ids, usage and logs of a gateway, beside the answer.
const ENVELOPE_BYTES: usize = 64 << 10;

/// JSON may write a two-byte letter with six bytes (`\u0436`). Servers that escape do so for every letter beyond ASCII.
const ESCAPE_FACTOR: usize = 3;

/// Reads the body of a success.
pub(crate) async fn read(
    response: &mut Response,
    idle: Duration,
    answer_max_bytes: usize,
) -> Result<Vec<u8>, LlmError> {
    let limit = max_body_bytes(answer_max_bytes);
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(answer_max_bytes));
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default());
    while let Some(chunk) = chunk(response, idle).await? {
        if body.len() + chunk.len() > limit {
            return Err(too_large(answer_max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A stream names each token in an event of its own.
const STREAM_FACTOR: usize = 64;

/// Reads a stream of events, and returns the body that it would have been. Holds the text and one event.
pub(crate) async fn fold_stream(
    response: &mut Response,
    idle: Duration,
    answer_max_bytes: usize,
) -> Result<Value, LlmError> {
    let max_event_bytes = max_body_bytes(answer_max_bytes);
    let mut left = max_event_bytes.saturating_mul(STREAM_FACTOR);
    let mut decoder = EventDecoder::new(max_event_bytes);
    let mut stream = ChatStream::default();
    let mut is_ended = false;
    while !is_ended {
        let chunk = match chunk(response, idle).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            // The answer is whole; only the end mark is missing.
            Err(_) if stream.is_complete() => break,
            Err(error) => return Err(error),
        };
        left = left.checked_sub(chunk.len()).ok_or_else(|| too_large(answer_max_bytes))?;
        let events = decoder.push(&chunk).map_err(|TooLarge| too_large(answer_max_bytes))?;
        is_ended = events.iter().any(|event| stream.fold(event));
        if stream.text_bytes() > answer_max_bytes {
            return Err(too_large(answer_max_bytes));
        }
    }
    if !is_ended && let Some(last) = decoder.finish().map_err(|TooLarge| too_large(answer_max_bytes))? {
        stream.fold(&last);
    }
    stream
        .into_body()
        .ok_or_else(|| LlmError::new(Code::LlmNetworkError, "read the answer: the stream ended before its end mark"))
}

/// Reads the start of an error's body. A body that breaks off is no error here: the status counts.
pub(crate) async fn read_error(response: &mut Response, idle: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = chunk(response, idle).await {
        let room = MAX_ERROR_BODY_BYTES - body.len();
        if chunk.len() >= room {
            body.extend_from_slice(&chunk[..room]);
            break;
        }
        body.extend_from_slice(&chunk);
    }
    body
}

fn max_body_bytes(answer_max_bytes: usize) -> usize {
    answer_max_bytes.saturating_mul(ESCAPE_FACTOR).saturating_add(ENVELOPE_BYTES)
}

pub(crate) fn too_large(limit: usize) -> LlmError {
    LlmError::new(Code::LlmAnswerTooLarge, format!("read the answer: more than {limit} bytes (ANSWER_MAX_BYTES)"))
}

async fn chunk(response: &mut Response, idle: Duration) -> Result<Option<Bytes>, LlmError> {
    match timeout(idle, response.chunk()).await {
        Err(_) => Err(LlmError::timeout("the answer stood still, nothing came", idle, "LLM_IDLE_TIMEOUT_MS")),
        Ok(Err(error)) => Err(LlmError::network("read the answer: the body broke off", error)),
        Ok(Ok(chunk)) => Ok(chunk),
    }
}
