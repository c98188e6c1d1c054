//! What opens a breaker, and what the end of a call says about a dependency.

use crate::code::{Code, DependencyVerdict};

/// What kind of fault opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Credentials are refused.
    Authentication,
    /// The account is spent.
    Quota,
    /// There is no such model.
    Model,
    /// There is no such bucket, or not as it is configured.
    Bucket,
    /// Too many of the last calls failed.
    Failures,
}

impl Reason {
    /// The reason as it is written to logs, metrics and docs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Quota => "quota",
            Self::Model => "model",
            Self::Bucket => "bucket",
            Self::Failures => "failures",
        }
    }
}

/// What one call says about the dependency, with its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// It does its work, whatever became of the job.
    Healthy,
    /// It did not do its work; one such call may be chance.
    Failure(Code),
    /// It will not work before the operator has acted.
    Misconfigured(Reason, Code),
    /// Nothing: it was not called, or it asks us to come more slowly.
    Ignored,
}

impl CallResult {
    /// Returns what a job's failure says about the dependency that the failed step called.
    pub const fn of(code: Code) -> Self {
        match code.row().dependency {
            DependencyVerdict::Healthy => Self::Healthy,
            DependencyVerdict::Failure => Self::Failure(code),
            DependencyVerdict::Misconfigured(reason) => Self::Misconfigured(reason, code),
            DependencyVerdict::Ignored => Self::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_and_a_faulty_document_do_not_speak_against_the_model() {
        assert_eq!(CallResult::of(Code::LlmRateLimited), CallResult::Ignored);
        assert_eq!(CallResult::of(Code::LlmContextTooLong), CallResult::Healthy);
        assert_eq!(CallResult::of(Code::GuestBadOutput), CallResult::Ignored, "a question that was not sent");
    }
}
