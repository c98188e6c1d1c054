//! Maps the error codes and statuses of S3 to kinds of errors.

use crate::objects_error::ObjectsErrorKind;

/// Returns the kind of a store's error: by its error code if that is known, else by its status.
///
/// Sources: the S3 API's list of error codes, and the SDK's own lists of throttling and transient codes.
pub fn classify(status: u16, code: Option<&str>) -> ObjectsErrorKind {
    code.and_then(by_code).unwrap_or_else(|| by_status(status))
}

/// Codes of S3 and of stores with its API that are shown, although the status says enough to classify them.
const SHOWN_CODES: &[&str] = &[
    "BucketAlreadyOwnedByYou",
    "EntityTooSmall",
    "InvalidArgument",
    "InvalidBucketState",
    "InvalidObjectName",
    "InvalidRange",
    "InvalidRequest",
    "InvalidStorageClass",
    "InvalidURI",
    "MalformedXML",
    // What the SDK says of a HEAD, whose answer has no body.
    "NotFound",
    "PreconditionFailed",
    "QuotaExceeded",
    "XMinioServerNotInitialized",
    "XMinioStorageFull",
];

/// Returns whether a code is a store's own, so that it is shown: any other word may be of a key.
pub(crate) fn is_known_code(code: &str) -> bool {
    by_code(code).is_some() || SHOWN_CODES.contains(&code)
}

fn by_code(code: &str) -> Option<ObjectsErrorKind> {
    Some(match code {
        "NoSuchKey" | "NoSuchVersion" => ObjectsErrorKind::NotFound,
        // No object can have such a key.
        "KeyTooLongError" => ObjectsErrorKind::NotFound,
        "NoSuchBucket" => ObjectsErrorKind::NoSuchBucket,

        // The worker's clock differs from the store's by more than 15 minutes.
        "RequestTimeTooSkewed" | "RequestExpired" => ObjectsErrorKind::ClockSkewed,
        "ExpiredToken" | "TokenRefreshRequired" => ObjectsErrorKind::KeysExpired,
        // Alibaba's store.
        "SecondLevelDomainForbidden" => ObjectsErrorKind::PathStyleRefused,
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "NotSignedUp"
        | "UnauthorizedAccess" => ObjectsErrorKind::AccessDenied,

        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException" => ObjectsErrorKind::Throttled,
        // 400s about the connection, not the request: the upload stalled or broke off.
        "RequestTimeout" | "RequestTimeoutException" | "IncompleteBody" => ObjectsErrorKind::Unavailable,
        "InternalError" | "ServiceUnavailable" | "Busy" => ObjectsErrorKind::Unavailable,
        // Another write to the same key was under way.
        "OperationAborted" | "ConditionalRequestConflict" => ObjectsErrorKind::Unavailable,

        // A 403 about the object's state, not about rights: it is archived and can be read only after a restore.
        "InvalidObjectState" => ObjectsErrorKind::Rejected,
        // The bucket is in another region, or the request is signed for the wrong region.
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidBucketName" => ObjectsErrorKind::Rejected,
        // A checksum or a feature that this store does not support.
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch"
        | "NotImplemented"
        | "MethodNotAllowed"
        | "EntityTooLarge"
        | "MissingContentLength" => ObjectsErrorKind::Rejected,
        _ => return None,
    })
}

fn by_status(status: u16) -> ObjectsErrorKind {
    match status {
        // The SDK reports a success that it cannot parse as an error: a gateway answered instead of the store.
        100..=299 => ObjectsErrorKind::Unavailable,
        // Redirects are not followed: the bucket is in another region, or the address is not a store.
        300..=399 => ObjectsErrorKind::Rejected,
        401 | 403 | 407 => ObjectsErrorKind::AccessDenied,
        408 => ObjectsErrorKind::Timeout,
        // 409 a conflicting write, 425 too early.
        409 | 425 => ObjectsErrorKind::Unavailable,
        429 => ObjectsErrorKind::Throttled,
        // A 404 without an S3 code comes from a server that is not an S3 store. "Not found" here would fail files because
        // of a wrong S3_ENDPOINT.
        400..=499 => ObjectsErrorKind::Rejected,
        // A missing feature stays missing.
        501 => ObjectsErrorKind::Rejected,
        // Without a code, a 503 is more often an outage than a rate limit.
        500..=599 => ObjectsErrorKind::Unavailable,
        _ => ObjectsErrorKind::Unavailable,
    }
}
