//! What went wrong at the object store, as a type: the one place where S3's codes and statuses get a meaning.
//!
//! A store's error text is never kept: it quotes keys, and some stores quote more.

use std::{error::Error as StdError, fmt, time::Duration};

use assay_core::{code::Code, job_error::JobError};

/// What a failure means to whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The store has no such object.
    NotFound,
    /// The store has no such bucket.
    NoSuchBucket,
    /// The keys are wrong, or lack a right.
    AccessDenied,
    /// The store wants fewer requests.
    Throttled,
    /// The store failed, or another request was in the way; the same request may work later.
    Unavailable,
    /// No answer within the deadline.
    Timeout,
    /// No connection, or one that broke before the answer.
    Network,
    /// A body that broke off, stalled, or is not as long as announced.
    BrokenBody,
    /// The object is larger than the caller accepts.
    TooLarge {
        /// The object's size in bytes where the store told it, else what had been read when the limit was passed.
        found: u64,
        /// The caller's limit in bytes.
        limit: u64,
    },
    /// The store does not take this request from this configuration: region, addressing, checksum, an unknown feature.
    Rejected,
}

/// The meaning of a store's answer: its error code where it is known, else its status.
///
/// Sources: the S3 API's list of error codes, and the SDK's own lists of throttling and transient codes.
pub fn classify(status: u16, code: Option<&str>) -> Kind {
    code.and_then(by_code).unwrap_or_else(|| by_status(status))
}

fn by_code(code: &str) -> Option<Kind> {
    Some(match code {
        "NoSuchKey" | "NoSuchVersion" => Kind::NotFound,
        // No object can have such a key, so none is there.
        "KeyTooLongError" => Kind::NotFound,
        "NoSuchBucket" => Kind::NoSuchBucket,

        // The worker's clock, or keys that someone is about to renew: the same request works soon, and no right is missing.
        "RequestTimeTooSkewed" | "RequestExpired" | "ExpiredToken" | "TokenRefreshRequired" => Kind::Unavailable,
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "NotSignedUp"
        | "UnauthorizedAccess" => Kind::AccessDenied,

        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException" => Kind::Throttled,
        // 400s that are about the connection, not about the request: the upload stood still or broke off.
        "RequestTimeout" | "RequestTimeoutException" | "IncompleteBody" => Kind::Unavailable,
        "InternalError" | "ServiceUnavailable" | "Busy" => Kind::Unavailable,
        // Another write to the same key was under way.
        "OperationAborted" | "ConditionalRequestConflict" => Kind::Unavailable,

        // A 403 that is about the object's state, not about rights: archived, and readable only after a restore.
        "InvalidObjectState" => Kind::Rejected,
        // The bucket lives elsewhere, or is addressed or signed for the wrong region.
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidBucketName" => Kind::Rejected,
        // Checksum or feature that this store does not know or got wrong.
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch"
        | "NotImplemented"
        | "MethodNotAllowed"
        | "EntityTooLarge"
        | "MissingContentLength" => Kind::Rejected,
        _ => return None,
    })
}

fn by_status(status: u16) -> Kind {
    match status {
        // The SDK takes a success it cannot parse for an error: something between us and the store answered.
        100..=299 => Kind::Unavailable,
        // Followed by nobody: another region, or not a store at all.
        300..=399 => Kind::Rejected,
        401 | 403 | 407 => Kind::AccessDenied,
        408 => Kind::Timeout,
        // 409 a conflicting write, 425 too early.
        409 | 425 => Kind::Unavailable,
        429 => Kind::Throttled,
        // A 404 without S3's code says that no S3 store answered at this address. "Not found" here would end files for
        // a wrong S3_ENDPOINT.
        400..=499 => Kind::Rejected,
        // What the store lacks today it lacks tomorrow.
        501 => Kind::Rejected,
        // Without a code 503 is more often an outage than a rate limit.
        500..=599 => Kind::Unavailable,
        _ => Kind::Unavailable,
    }
}

/// One failed operation: which, what it means, and the store's status and code. Holds no key and no text of the store.
#[derive(Debug)]
pub struct ObjectsError {
    /// Verb and object: "read an object".
    pub operation: &'static str,
    /// What it means.
    pub kind: Kind,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The store's error code, where it is a plain word.
    pub code: Option<String>,
    /// How long the store asked us to wait.
    pub retry_after: Option<Duration>,
    pub(super) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ObjectsError {
    pub(super) fn new(operation: &'static str, kind: Kind) -> Self {
        Self { operation, kind, status: None, code: None, retry_after: None, source: None }
    }

    pub(super) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether a write that ended so may have reached the store all the same: no answer said that it did not.
    pub fn may_have_written(&self) -> bool {
        self.status.is_none()
            && matches!(self.kind, Kind::Timeout | Kind::Network | Kind::BrokenBody | Kind::Unavailable)
    }

    /// The error of a job that wanted to read.
    pub fn for_read(self) -> JobError {
        let code = self.kind.read_code();
        self.into_job_error(code)
    }

    /// The error of a job that wanted to write or delete.
    pub fn for_write(self) -> JobError {
        let code = self.kind.write_code();
        self.into_job_error(code)
    }

    fn into_job_error(self, code: Code) -> JobError {
        let error = JobError::new(code, self.to_string()).retry_after(self.retry_after);
        match self.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

impl Kind {
    /// What it means for a job that wanted to read.
    pub fn read_code(self) -> Code {
        match self {
            Self::NotFound => Code::TranscriptNotFound,
            Self::TooLarge { .. } => Code::TranscriptTooLarge,
            kind => for_both(kind).unwrap_or(Code::S3ReadFailed),
        }
    }

    /// What it means for a job that wanted to write or delete.
    pub fn write_code(self) -> Code {
        match self {
            // A key that the store refuses as such: keys are made here, so the configuration made it too long.
            Self::NotFound | Self::TooLarge { .. } => Code::S3ConfigError,
            kind => for_both(kind).unwrap_or(Code::S3WriteFailed),
        }
    }
}

/// The code that does not depend on the direction; none is transient.
fn for_both(kind: Kind) -> Option<Code> {
    match kind {
        Kind::AccessDenied => Some(Code::S3AccessDenied),
        Kind::NoSuchBucket | Kind::Rejected => Some(Code::S3ConfigError),
        _ => None,
    }
}

impl fmt::Display for ObjectsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        match (self.status, self.code.as_deref()) {
            (Some(status), Some(code)) => return write!(f, "{status} {code}"),
            (Some(status), None) => return write!(f, "{status} without an S3 error code"),
            _ => {}
        }
        match self.kind {
            Kind::NotFound => f.write_str("no such object"),
            Kind::NoSuchBucket => f.write_str("no such bucket"),
            Kind::AccessDenied => f.write_str("access denied"),
            Kind::Throttled => f.write_str("throttled"),
            Kind::Unavailable => f.write_str("the store is not available"),
            Kind::Timeout => f.write_str("no answer in time (S3_OPERATION_TIMEOUT_MS)"),
            Kind::Network => f.write_str("the connection failed"),
            Kind::BrokenBody => f.write_str("the body broke off"),
            Kind::TooLarge { found, limit } => {
                write!(f, "{found} bytes, but at most {limit} are allowed")
            }
            Kind::Rejected => f.write_str("the request cannot be made with this configuration"),
        }
    }
}

impl StdError for ObjectsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
