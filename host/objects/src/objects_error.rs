//! The error of a failed operation. It keeps no text of the store: stores quote keys, and some quote more.

use std::{error::Error as StdError, fmt, time::Duration};

use assay_core::{code::Code, job_error::JobError, open_files::NO_FILE_LEFT};
use assay_network::ConnectionFault;

/// What a failure means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectsErrorKind {
    /// The store has no such object.
    NotFound,
    /// The store has no such bucket.
    NoSuchBucket,
    /// The access key is wrong, or lacks a right.
    AccessDenied,
    /// The session of the keys has ended. With new keys the same request works.
    KeysExpired,
    /// There are no keys: none were given, and no role of AWS gave any.
    NoKeys(RoleFault),
    /// The store wants the bucket in the host name, not in the path.
    PathStyleRefused,
    /// The clock of this machine or of the store is wrong, so the signature has expired.
    ClockSkewed,
    /// The store wants fewer requests.
    Throttled,
    /// The store failed, or another request conflicted; the same request may work later.
    Unavailable,
    /// The store did not answer within the deadline.
    Timeout,
    /// There was no connection, or it broke before the answer.
    Network(Option<ConnectionFault>),
    /// There was no file descriptor for a connection.
    OutOfFiles,
    /// The body broke off, stalled, or was shorter than announced.
    BrokenBody,
    /// The object says that it is compressed with gzip, and cannot be read as that.
    BadEncoding,
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

/// Why the chain of roles gave no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleFault {
    /// No source of the chain is configured.
    NotFound,
    /// The profile, or another part of the configuration, is wrong.
    Misconfigured,
    /// The token service refused the role.
    Refused,
    /// The token service, the container's or the instance's endpoint did not answer, or not well.
    Unavailable,
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
    /// The region of the bucket, if the store named it.
    pub region: Option<Box<str>>,
    /// How long the store asked us to wait.
    pub retry_after: Option<Duration>,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ObjectsError {
    pub(crate) fn new(operation: &'static str, kind: ObjectsErrorKind) -> Self {
        Self { operation, kind, status: None, code: None, region: None, retry_after: None, source: None }
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
                    | ObjectsErrorKind::Network(_)
                    | ObjectsErrorKind::BrokenBody
                    | ObjectsErrorKind::Unavailable
            )
    }

    /// Returns whether other keys may help: these are wrong, or have ended. A missing right is not.
    pub(crate) fn is_of_keys(&self) -> bool {
        match self.kind {
            ObjectsErrorKind::KeysExpired | ObjectsErrorKind::NoKeys(_) => true,
            ObjectsErrorKind::AccessDenied => self.code.as_deref() != Some("AccessDenied"),
            _ => false,
        }
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
            Self::BadEncoding => Code::TranscriptInvalidEncoding,
            kind => shared_code(kind).unwrap_or(Code::S3ReadFailed),
        }
    }

    /// Returns the code for a job that wanted to write or delete.
    pub fn write_code(self) -> Code {
        match self {
            // The store refuses the key itself. Assay makes the keys, so the configuration made it too long.
            Self::NotFound | Self::TooLarge { .. } | Self::BadEncoding => Code::S3ConfigError,
            kind => shared_code(kind).unwrap_or(Code::S3WriteFailed),
        }
    }
}

/// Returns the code if it does not depend on the direction; such codes are not transient.
fn shared_code(kind: ObjectsErrorKind) -> Option<Code> {
    match kind {
        ObjectsErrorKind::OutOfFiles => Some(Code::WorkerOutOfFiles),
        ObjectsErrorKind::AccessDenied | ObjectsErrorKind::KeysExpired | ObjectsErrorKind::NoKeys(_) => {
            Some(Code::S3AccessDenied)
        }
        ObjectsErrorKind::ClockSkewed => Some(Code::S3ClockSkewed),
        ObjectsErrorKind::NoSuchBucket | ObjectsErrorKind::PathStyleRefused | ObjectsErrorKind::Rejected => {
            Some(Code::S3ConfigError)
        }
        _ => None,
    }
}

impl fmt::Display for ObjectsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        match (self.status, self.code.as_deref()) {
            (Some(status), Some(code)) => {
                write!(f, "{status} {code}")?;
                return match self.kind {
                    ObjectsErrorKind::KeysExpired => f.write_str(", the session of the keys has ended"),
                    _ => Ok(()),
                };
            }
            (Some(status), None) => return write!(f, "{status} without a known S3 error code"),
            _ => {}
        }
        match self.kind {
            ObjectsErrorKind::NotFound => f.write_str("no such object"),
            ObjectsErrorKind::NoSuchBucket => f.write_str("no such bucket"),
            ObjectsErrorKind::AccessDenied => f.write_str("access denied"),
            ObjectsErrorKind::KeysExpired => f.write_str("the session of the keys has ended"),
            ObjectsErrorKind::NoKeys(fault) => f.write_str(match fault {
                RoleFault::NotFound => "no keys: S3_ACCESS_KEY_ID is not set, and no role of AWS was found",
                RoleFault::Misconfigured => "no keys: the configuration of the AWS role is wrong",
                RoleFault::Refused => "no keys: AWS refused the role",
                RoleFault::Unavailable => {
                    "no keys: the service that gives the keys of the AWS role did not answer well"
                }
            }),
            ObjectsErrorKind::PathStyleRefused => f.write_str("the store wants the bucket in the host name"),
            ObjectsErrorKind::ClockSkewed => f.write_str("the clocks of the worker and of the store differ"),
            ObjectsErrorKind::Throttled => f.write_str("throttled"),
            ObjectsErrorKind::Unavailable => f.write_str("the store is not available"),
            ObjectsErrorKind::Timeout => f.write_str("no answer in time (S3_OPERATION_TIMEOUT_MS)"),
            ObjectsErrorKind::Network(Some(fault)) => write!(f, "{fault}"),
            ObjectsErrorKind::Network(None) => f.write_str("the connection failed"),
            ObjectsErrorKind::OutOfFiles => f.write_str(NO_FILE_LEFT),
            ObjectsErrorKind::BrokenBody => f.write_str("the body broke off"),
            ObjectsErrorKind::BadEncoding => f.write_str("its gzip is damaged"),
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
