//! Converts errors of the SDK. Keeps statuses, known codes and I/O errors; drops every text of the store.

use std::time::Duration;

use assay_core::open_files::is_out_of_files;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::{
    classify::{classify, is_known_code},
    objects_error::{ObjectsError, ObjectsErrorKind},
};

impl ObjectsError {
    pub(crate) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error {
            // The SDK refuses the endpoint or the bucket name. Its text is dropped: the bucket comes from a row.
            SdkError::ConstructionFailure(_) => Self::new(operation, ObjectsErrorKind::Rejected),
            SdkError::TimeoutError(_) => Self::new(operation, ObjectsErrorKind::Timeout),
            SdkError::DispatchFailure(failure) => {
                let kind = match failure.as_connector_error() {
                    Some(error) if error.is_timeout() => ObjectsErrorKind::Timeout,
                    Some(error) if error.is_user() => ObjectsErrorKind::Rejected,
                    _ => ObjectsErrorKind::Network,
                };
                match SdkError::<E, HttpResponse>::DispatchFailure(failure).into_source() {
                    Ok(source) if kind == ObjectsErrorKind::Network && is_out_of_files(&*source) => {
                        Self::new(operation, ObjectsErrorKind::OutOfFiles)
                    }
                    Ok(source) => Self::new(operation, kind).caused_by(source),
                    Err(_) => Self::new(operation, kind),
                }
            }
            SdkError::ResponseError(response) => Self::from_answer(operation, response.raw(), None),
            SdkError::ServiceError(failure) => Self::from_answer(operation, failure.raw(), failure.err().code()),
            // The enum is non-exhaustive. A case of a later SDK must not fail a file.
            _ => Self::new(operation, ObjectsErrorKind::Unavailable),
        }
    }

    fn from_answer(operation: &'static str, answer: &HttpResponse, code: Option<&str>) -> Self {
        let status = answer.status().as_u16();
        let code = code.filter(|code| is_known_code(code));
        Self {
            status: Some(status),
            code: code.map(str::to_owned),
            retry_after: answer.headers().get("retry-after").and_then(seconds),
            ..Self::new(operation, classify(status, code))
        }
    }
}

/// Reads whole seconds, which stores send. A date would need the store's clock.
fn seconds(value: &str) -> Option<Duration> {
    value.trim().parse().ok().filter(|wait| *wait > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stores_own_words_are_taken_for_codes() {
        for code in
            ["XAmzContentSHA256Mismatch", "NoSuchKey", "NotFound", "SlowDown", "InvalidArgument", "XMinioStorageFull"]
        {
            assert!(is_known_code(code), "{code}");
        }
        for text in ["", "no such key", "users/1/files/2", "hunter2", "nosuchkey", "notfound", &"A".repeat(65)] {
            assert!(!is_known_code(text), "{text}");
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
