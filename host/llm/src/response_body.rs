//! Reads the body of a response within a size limit and an idle deadline.

use std::time::Duration;

use assay_core::code::Code;
use bytes::Bytes;
use reqwest::Response;
use tokio::time::timeout;

use crate::llm_error::LlmError;

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
    let limit = answer_max_bytes.saturating_mul(ESCAPE_FACTOR).saturating_add(ENVELOPE_BYTES);
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
