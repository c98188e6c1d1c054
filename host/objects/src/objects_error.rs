//! The error of a failed operation. It keeps no text of the store: stores quote keys, and some quote more.

use std::{error::Error as StdError, fmt, time::Duration};

use assay_core::{code::Code, job_error::JobError, open_files::NO_FILE_LEFT};

/// What a failure means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectsErrorKind {
    /// The store has no such object.
    NotFound,
    /// The store has no such bucket.
    NoSuchBucket,
    /// The access key is wrong, or lacks a right.
    AccessDenied,
    /// The clock of this machine or of the store is wrong, so the signature has expired.
    ClockSkewed,
    /// The store wants fewer requests.
    Throttled,
    /// The store failed, or another request conflicted; the same request may work later.
    Unavailable,
    /// The store did not answer within the deadline.
    Timeout,
    /// There was no connection, or it broke before the answer.
    Network,
    /// There was no file descriptor for a connection.
    OutOfFiles,
    /// The body broke off, stalled, or was shorter than announced.
    BrokenBody,
    /// The object is larger than the caller accepts.
    TooLarge {
        /// The object's size in bytes if the store gave it, else the bytes read when the limit was passed.
        found: u64,
        /// The caller's limit in bytes.
        limit: u64,
    },
    /// The store refuses requests of this configuration: region, addressing, checksum, or a missing feature.
    Rejected,
}

/// A failed operation.
#[derive(Debug)]
pub struct ObjectsError {
    /// A verb and an object: "read an object".
    pub operation: &'static str,
    pub kind: ObjectsErrorKind,
    /// The HTTP status, if the store answered.
    pub status: Option<u16>,
    /// The store's error code, if it is a known one.
    pub code: Option<String>,
    /// How long the store asked us to wait.
    pub retry_after: Option<Duration>,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ObjectsError {
    pub(crate) fn new(operation: &'static str, kind: ObjectsErrorKind) -> Self {
        Self { operation, kind, status: None, code: None, retry_after: None, source: None }
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whether a write that failed this way may have reached the store: no answer denied it.
    pub fn may_have_written(&self) -> bool {
        self.status.is_none()
            && matches!(
                self.kind,
                ObjectsErrorKind::Timeout
                    | ObjectsErrorKind::Network
                    | ObjectsErrorKind::BrokenBody
                    | ObjectsErrorKind::Unavailable
            )
    }

    /// Returns the error of a job that wanted to read.
    pub fn for_read(self) -> JobError {
        let code = self.kind.read_code();
        self.into_job_error(code)
    }

    /// Returns the error of a job that wanted to write or delete.
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

impl ObjectsErrorKind {
    /// Returns the code for a job that wanted to read.
    pub fn read_code(self) -> Code {
        match self {
            Self::NotFound => Code::TranscriptNotFound,
            Self::TooLarge { .. } => Code::TranscriptTooLarge,
            kind => shared_code(kind).unwrap_or(Code::S3ReadFailed),
        }
    }

    /// Returns the code for a job that wanted to write or delete.
    pub fn write_code(self) -> Code {
        match self {
            // The store refuses the key itself. Assay makes the keys, so the configuration made it too long.
            Self::NotFound | Self::TooLarge { .. } => Code::S3ConfigError,
            kind => shared_code(kind).unwrap_or(Code::S3WriteFailed),
        }
    }
}

/// Returns the code if it does not depend on the direction; such codes are not transient.
fn shared_code(kind: ObjectsErrorKind) -> Option<Code> {
    match kind {
        ObjectsErrorKind::OutOfFiles => Some(Code::WorkerOutOfFiles),
        ObjectsErrorKind::AccessDenied => Some(Code::S3AccessDenied),
        ObjectsErrorKind::ClockSkewed => Some(Code::S3ClockSkewed),
        ObjectsErrorKind::NoSuchBucket | ObjectsErrorKind::Rejected => Some(Code::S3ConfigError),
        _ => None,
    }
}

impl fmt::Display for ObjectsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        match (self.status, self.code.as_deref()) {
            (Some(status), Some(code)) => return write!(f, "{status} {code}"),
            (Some(status), None) => return write!(f, "{status} without a known S3 error code"),
            _ => {}
        }
        match self.kind {
            ObjectsErrorKind::NotFound => f.write_str("no such object"),
            ObjectsErrorKind::NoSuchBucket => f.write_str("no such bucket"),
            ObjectsErrorKind::AccessDenied => f.write_str("access denied"),
            ObjectsErrorKind::ClockSkewed => f.write_str("the clocks of the worker and of the store differ"),
            ObjectsErrorKind::Throttled => f.write_str("throttled"),
            ObjectsErrorKind::Unavailable => f.write_str("the store is not available"),
            ObjectsErrorKind::Timeout => f.write_str("no answer in time (S3_OPERATION_TIMEOUT_MS)"),
            ObjectsErrorKind::Network => f.write_str("the connection failed"),
            ObjectsErrorKind::OutOfFiles => f.write_str(NO_FILE_LEFT),
            ObjectsErrorKind::BrokenBody => f.write_str("the body broke off"),
            ObjectsErrorKind::TooLarge { found, limit } => {
                write!(f, "{found} bytes, but at most {limit} are allowed")
            }
            ObjectsErrorKind::Rejected => f.write_str("the request cannot be made with this configuration"),
        }
    }
}

impl StdError for ObjectsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
