//! From the SDK's layered errors to ours. Keeps statuses, codes and I/O errors; drops every text that a store wrote.

use std::time::Duration;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::error::{Kind, ObjectsError, classify};

/// The longest code in S3's own list has 34 characters.
const CODE_MAX_CHARS: usize = 64;

impl ObjectsError {
    pub(super) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error {
            // The request could not even be built: an endpoint or a bucket name that the SDK refuses. Its text may quote
            // both, and neither is a secret, but a bucket is a row's content: left out.
            SdkError::ConstructionFailure(_) => Self::new(operation, Kind::Rejected),
            SdkError::TimeoutError(_) => Self::new(operation, Kind::Timeout),
            SdkError::DispatchFailure(failure) => {
                let kind = match failure.as_connector_error() {
                    Some(error) if error.is_timeout() => Kind::Timeout,
                    Some(error) if error.is_user() => Kind::Rejected,
                    _ => Kind::Network,
                };
                match SdkError::<E, HttpResponse>::DispatchFailure(failure).into_source() {
                    Ok(source) => Self::new(operation, kind).caused_by(source),
                    Err(_) => Self::new(operation, kind),
                }
            }
            SdkError::ResponseError(response) => Self::from_answer(operation, response.raw(), None),
            SdkError::ServiceError(failure) => Self::from_answer(operation, failure.raw(), failure.err().code()),
            // The enum is open; a case of a later SDK is at least not the file's fault.
            _ => Self::new(operation, Kind::Unavailable),
        }
    }

    fn from_answer(operation: &'static str, answer: &HttpResponse, code: Option<&str>) -> Self {
        let status = answer.status().as_u16();
        let code = code.filter(|code| is_plain_word(code));
        Self {
            status: Some(status),
            code: code.map(str::to_owned),
            retry_after: answer.headers().get("retry-after").and_then(seconds),
            ..Self::new(operation, classify(status, code))
        }
    }
}

/// Stores send whole seconds; a date would need their clock, and the SDK's own backoff is what counts within a call.
fn seconds(value: &str) -> Option<Duration> {
    value.trim().parse().ok().filter(|wait| *wait > 0).map(Duration::from_secs)
}

fn is_plain_word(code: &str) -> bool {
    (1..=CODE_MAX_CHARS).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_are_taken_for_codes() {
        assert!(is_plain_word("XAmzContentSHA256Mismatch"));
        for text in ["", "no such key", "users/1/files/2", "Ünknown", &"A".repeat(65)] {
            assert!(!is_plain_word(text), "{text}");
        }
    }

    #[test]
    fn a_wait_is_a_whole_number_of_seconds() {
        assert_eq!(seconds("7"), Some(Duration::from_secs(7)));
        for text in ["0", "-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
