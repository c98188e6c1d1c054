//! What one call shows about the dependency.

use crate::{
    breaker::reason::BreakerReason,
    code::{Code, DependencyVerdict},
};

/// What one call shows about the dependency, with the code of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// The dependency works; the job may have failed for another reason.
    Healthy,
    /// The dependency did not work; a single failure may be chance.
    Failure(Code),
    /// The dependency will not work until the operator acts.
    Misconfigured(BreakerReason, Code),
    /// The call shows nothing: it was not sent, or the dependency limits the rate.
    Ignored,
}

impl CallResult {
    /// Returns what a failed job shows about the dependency that its failed step called.
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
