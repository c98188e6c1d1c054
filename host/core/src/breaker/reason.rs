//! What the end of a call says about the dependency, and what the operator can do about it.

use crate::error::Code;

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

/// What the end of a call says about the dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It does its work, whatever became of the job.
    Answered,
    /// It did not do its work; one such call may be chance.
    Failed(Code),
    /// It will not work before somebody has acted.
    Fault(Reason, Code),
    /// Nothing: it was not called, or asks us to come more slowly.
    Unsaid,
}

impl Ended {
    /// What a job's failure says about the dependency that the failed step called.
    pub const fn of(code: Code) -> Self {
        match code {
            Code::LlmAuthFailed | Code::S3AccessDenied | Code::DbAccessDenied => {
                Self::Fault(Reason::Authentication, code)
            }
            Code::LlmQuotaExhausted => Self::Fault(Reason::Quota, code),
            Code::LlmModelNotFound => Self::Fault(Reason::Model, code),
            Code::S3ConfigError => Self::Fault(Reason::Bucket, code),
            Code::LlmNetworkError
            | Code::LlmTimeout
            | Code::LlmProvider5xx
            // What a gateway sends in place of the model.
            | Code::LlmBadEnvelope
            | Code::S3ReadFailed
            | Code::S3WriteFailed
            | Code::DbUpdateFailed => Self::Failed(code),
            Code::LlmContextTooLong
            | Code::LlmRequestRejected
            | Code::LlmAnswerTooLarge
            | Code::LlmOutputTruncated
            | Code::LlmRefused
            | Code::LlmContentFiltered
            | Code::TranscriptNotFound
            | Code::TranscriptTooLarge
            | Code::JournalUnreadable => Self::Answered,
            // A rate limit is the working of a provider that works; the job is snoozed for as long as it asks.
            _ => Self::Unsaid,
        }
    }
}

/// What the operator can do about a fault: the words of docs/errors.md, without its marks.
pub const fn cure(code: Code) -> &'static str {
    match code {
        Code::LlmAuthFailed => "Renew LLM_API_KEY and restart the workers. No file fails meanwhile.",
        Code::LlmQuotaExhausted => "Top up the account. Held jobs go on within two minutes.",
        Code::LlmModelNotFound => "Correct LLM_MODEL or LLM_MODELS.",
        Code::LlmNetworkError => "Usually none. If it stays: LLM_BASE_URL, DNS, TLS, proxies.",
        Code::LlmTimeout => "If it stays: LLM_TIMEOUT_MS, LLM_IDLE_TIMEOUT_MS, or a faster model.",
        Code::LlmProvider5xx => "Usually none; see the provider's status page.",
        Code::LlmBadEnvelope => "If it stays: LLM_BASE_URL points at something that is no Chat Completions API.",
        Code::S3AccessDenied => {
            "Renew S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or grant get, put and delete on users/* and get and put on guests/*."
        }
        Code::S3ConfigError => "assay check tells which; see S3_BUCKET, S3_REGION, S3_ENDPOINT.",
        Code::S3ReadFailed => {
            "Usually none. If it stays: the store's own health, and S3_OPERATION_TIMEOUT_MS for slow links."
        }
        Code::S3WriteFailed => "Usually none. If it stays: the store's health.",
        Code::DbAccessDenied => {
            "Correct user, password and database in DATABASE_URL, or grant the user its rights; assay check tells which."
        }
        Code::DbUpdateFailed => "If it stays: the worker's log has the SQLSTATE.",
        _ => "See docs/errors.md.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_can_open_a_breaker_has_the_cure_of_the_error_documentation() {
        let page = include_str!("../../../../docs/errors.md").replace('`', "");
        for code in Code::ALL {
            if !matches!(Ended::of(*code), Ended::Failed(_) | Ended::Fault(..)) {
                continue;
            }
            let row = page.lines().find(|line| line.starts_with(&format!("| {code} |"))).expect("a row");
            assert!(row.ends_with(&format!("| {} |", cure(*code))), "{code}: {row}");
        }
    }

    #[test]
    fn a_rate_limit_and_a_document_at_fault_are_no_fault_of_the_model() {
        assert_eq!(Ended::of(Code::LlmRateLimited), Ended::Unsaid);
        assert_eq!(Ended::of(Code::LlmContextTooLong), Ended::Answered);
        assert_eq!(Ended::of(Code::GuestBadOutput), Ended::Unsaid, "a question that was not sent");
    }
}
