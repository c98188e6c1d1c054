//! Converts errors of the SDK. Keeps statuses, known codes and I/O errors; drops every text of the store.

use std::time::Duration;

use assay_core::open_files::is_out_of_files;
use assay_network::ConnectionFault;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::{
    classify::{classify, is_known_code},
    objects_error::{ObjectsError, ObjectsErrorKind, RoleFault},
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
                let connector = failure.as_connector_error();
                let is_timeout = connector.is_some_and(|error| error.is_timeout());
                let is_user = connector.is_some_and(|error| error.is_user());
                let Ok(source) = SdkError::<E, HttpResponse>::DispatchFailure(failure).into_source() else {
                    return Self::new(operation, ObjectsErrorKind::Network(None));
                };
                let kind = match role_fault(&*source) {
                    Some(fault) => ObjectsErrorKind::NoKeys(fault),
                    None if is_timeout => ObjectsErrorKind::Timeout,
                    None if is_user => ObjectsErrorKind::Rejected,
                    None if is_out_of_files(&*source) => ObjectsErrorKind::OutOfFiles,
                    None => ObjectsErrorKind::Network(ConnectionFault::of(&*source)),
                };
                // The chain of roles quotes its configuration.
                if matches!(kind, ObjectsErrorKind::NoKeys(_) | ObjectsErrorKind::OutOfFiles) {
                    return Self::new(operation, kind);
                }
                Self::new(operation, kind).caused_by(source)
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
            region: answer.headers().get("x-amz-bucket-region").filter(|region| is_region(region)).map(Into::into),
            retry_after: answer.headers().get("retry-after").and_then(seconds),
            ..Self::new(operation, classify(status, code))
        }
    }
}

/// Returns why the chain of roles gave no keys, if that is what failed.
fn role_fault(error: &(dyn std::error::Error + 'static)) -> Option<RoleFault> {
    let mut sources = std::iter::successors(Some(error), |error| error.source());
    let failed = sources.by_ref().find_map(|error| error.downcast_ref::<CredentialsError>())?;
    Some(match failed {
        CredentialsError::CredentialsNotLoaded(_) => RoleFault::NotFound,
        CredentialsError::InvalidConfiguration(_) => RoleFault::Misconfigured,
        CredentialsError::ProviderTimedOut(_) => RoleFault::Unavailable,
        // What the token service says stands in the words of an error alone: its types are private to the chain.
        _ => {
            let refusals = [
                "AccessDenied",
                "InvalidIdentityToken",
                "InvalidClientTokenId",
                "ExpiredToken",
                "SignatureDoesNotMatch",
            ];
            let is_refusal = |error: &(dyn std::error::Error + 'static)| {
                let told = format!("{error} {error:?}");
                refusals.iter().any(|word| told.contains(word))
            };
            if sources.any(is_refusal) { RoleFault::Refused } else { RoleFault::Unavailable }
        }
    })
}

/// Returns whether a text is the name of a region, such as `eu-central-1`, so that it may be shown.
fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
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
    fn a_region_is_shown_and_no_other_text() {
        for region in ["eu-central-1", "us-gov-west-1", "auto", "garage"] {
            assert!(is_region(region), "{region}");
        }
        for text in ["", "EU", "eu central", "eu/1", "\u{1b}[31m", &"a".repeat(33)] {
            assert!(!is_region(text), "{text:?}");
        }
    }

    #[test]
    fn a_role_that_gives_no_keys_is_told_from_a_connection() {
        let told = |error: CredentialsError| role_fault(&error);
        assert_eq!(told(CredentialsError::not_loaded("x")), Some(RoleFault::NotFound));
        assert_eq!(told(CredentialsError::invalid_configuration("x")), Some(RoleFault::Misconfigured));
        assert_eq!(told(CredentialsError::provider_timed_out(Duration::from_secs(1))), Some(RoleFault::Unavailable));
        assert_eq!(told(CredentialsError::provider_error("AccessDenied")), Some(RoleFault::Refused));
        assert_eq!(told(CredentialsError::provider_error("503")), Some(RoleFault::Unavailable));
        assert_eq!(role_fault(&std::io::Error::other("AccessDenied")), None);
    }

    #[test]
    fn a_wait_is_a_whole_number_of_seconds() {
        assert_eq!(seconds("7"), Some(Duration::from_secs(7)));
        for text in ["0", "-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
