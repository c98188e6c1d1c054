//! Every way a job can go wrong: a code, the class that decides what happens next, and the step it happened in.
//!
//! The table below is the only place where a code gets its class. `docs/errors.md` has one row per code, and a test
//! holds the two together. Adapters classify their own errors (`From<ItsError> for JobError`); nobody looks at texts.

use std::{error::Error as StdError, fmt, time::Duration};

use serde::Serialize;

/// What the worker does with a job that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// This input can never work: the job ends.
    Fail,
    /// Transient: the job waits for its backoff and uses an attempt.
    Retry,
    /// Rate-limited: the job waits, its attempt is given back, at most `JOB_MAX_SNOOZES` times.
    Snooze,
    /// The operator's fault, never the file's: the attempt is given back, the job waits a minute, and the log is loud.
    Hold,
}

impl Class {
    /// The class as it is written to logs, metrics and docs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Snooze => "snooze",
            Self::Hold => "hold",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $class:ident;)+) => {
        /// Stable machine code of a failure; what `files.error_code` and `job_attempts.code` hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])+ $variant),+ }

        impl Code {
            /// Every code, in the order of a job's life.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it is stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// What happens to a job that ends an attempt with this code.
            pub const fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class),+ }
            }
        }
    };
}

codes! {
    /// No live worker has known the prompt version for the patience of the reaper.
    VersionNotAvailable = "version_not_available", Fail;
    /// The guest that this job needs does not load on this worker.
    GuestLoadFailed = "guest_load_failed", Hold;

    /// The original could not be read: connection, 5xx, throttling, or a body that broke off.
    S3ReadFailed = "s3_read_failed", Retry;
    /// The store refused the worker's credentials or their rights.
    S3AccessDenied = "s3_access_denied", Hold;
    /// The bucket does not exist, lives in another region, or the request is not one this store understands.
    S3ConfigError = "s3_config_error", Hold;
    /// `storage_key_original` names no object.
    TranscriptNotFound = "transcript_not_found", Fail;
    /// The original has no text.
    TranscriptEmpty = "transcript_empty", Fail;
    /// The original is not UTF-8.
    TranscriptInvalidEncoding = "transcript_invalid_encoding", Fail;
    /// The original is larger than `TRANSCRIPT_MAX_BYTES`.
    TranscriptTooLarge = "transcript_too_large", Fail;

    /// The guest trapped: a panic, an out-of-bounds access, a stack overflow.
    GuestTrap = "guest_trap", Fail;
    /// A guest call took longer than `GUEST_CALL_TIMEOUT_MS`; wall-clock time, so a busy machine may be at fault.
    GuestTimeout = "guest_timeout", Retry;
    /// The guest wanted more memory or table space than its limit.
    GuestOutOfMemory = "guest_out_of_memory", Fail;
    /// The guest returned more than its limit, or something that is not a value of the contract.
    GuestBadOutput = "guest_bad_output", Fail;
    /// The guest asked for more rounds, prompts or bytes than allowed, or for nothing at all.
    GuestLimitExceeded = "guest_limit_exceeded", Fail;
    /// The guest asked something else than it did for the same transcript and answers.
    GuestNondeterministic = "guest_nondeterministic", Fail;

    /// The connection to the model could not be made, or broke.
    LlmNetworkError = "llm_network_error", Retry;
    /// The model did not connect, start, go on or finish in time.
    LlmTimeout = "llm_timeout", Retry;
    /// The provider reported a conflict (409).
    LlmConflict = "llm_conflict", Retry;
    /// The provider limits the rate (425, 429).
    LlmRateLimited = "llm_rate_limited", Snooze;
    /// The account's quota or credit is spent; waiting does not help.
    LlmQuotaExhausted = "llm_quota_exhausted", Hold;
    /// The provider failed (5xx) or is overloaded.
    LlmProvider5xx = "llm_provider_5xx", Retry;
    /// The provider refused the key (401, 403).
    LlmAuthFailed = "llm_auth_failed", Hold;
    /// The provider, or the worker's configuration, knows no such model.
    LlmModelNotFound = "llm_model_not_found", Hold;
    /// The prompt does not fit the model's window.
    LlmContextTooLong = "llm_context_too_long", Fail;
    /// The provider refused the request (other 4xx).
    LlmRequestRejected = "llm_request_rejected", Fail;
    /// A success status with a body that is no completion.
    LlmBadEnvelope = "llm_bad_envelope", Retry;
    /// The answer is larger than `ANSWER_MAX_BYTES`.
    LlmAnswerTooLarge = "llm_answer_too_large", Fail;
    /// The answer was cut at the token limit.
    LlmOutputTruncated = "llm_output_truncated", Fail;
    /// The model refused to answer.
    LlmRefused = "llm_refused", Fail;
    /// The provider's filter withheld the answer.
    LlmContentFiltered = "llm_content_filtered", Fail;

    /// A journaled answer is missing or is not the bytes that were journaled.
    JournalUnreadable = "journal_unreadable", Retry;
    /// The guest rejected the answers: not JSON, against the schema, or against its own rules.
    SchemaValidationFailed = "schema_validation_failed", Fail;
    /// The guest accepted a document that the host's second check refuses.
    ReportInvalid = "report_invalid", Fail;

    /// An answer or the report could not be written.
    S3WriteFailed = "s3_write_failed", Retry;
    /// The database does not let the worker in.
    DbAccessDenied = "db_access_denied", Hold;
    /// The database failed while the job was settled or its journal written.
    DbUpdateFailed = "db_update_failed", Retry;
    /// The worker died with the job in hand, as often as the job has attempts.
    WorkerLost = "worker_lost", Fail;
    /// Somebody asked for the job's end.
    Cancelled = "cancelled", Fail;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where in its life a job failed; what `job_attempts.step` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Finding the guest that runs the job.
    ResolveGuest,
    /// Reading the original from the object store.
    ReadTranscript,
    /// A call of the guest's `advance`.
    Advance,
    /// A call of the model.
    CallModel,
    /// Writing or reading a received answer.
    Journal,
    /// The host's second check of an accepted report.
    Verify,
    /// Writing `report.json`.
    WriteReport,
    /// The transaction that finalizes file and job.
    Settle,
    /// Cut short by a request to cancel, wherever the run was.
    Cancel,
}

impl Step {
    /// The step as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResolveGuest => "resolve_guest",
            Self::ReadTranscript => "read_transcript",
            Self::Advance => "advance",
            Self::CallModel => "call_model",
            Self::Journal => "journal",
            Self::Verify => "verify",
            Self::WriteReport => "write_report",
            Self::Settle => "settle",
            Self::Cancel => "cancel",
        }
    }
}

/// One failed attempt: what happened and to what, without a word of any document.
///
/// The message and its sources are stored and logged, so they hold codes, sizes, statuses and pointers only.
#[derive(Debug)]
pub struct JobError {
    /// What happened.
    pub code: Code,
    /// One line for a person, free of content.
    pub message: String,
    /// How long the other side asked us to wait; a floor for the next attempt.
    pub retry_after: Option<Duration>,
    /// Whether what failed is known to be away, so that the job is held, whatever the class of the code.
    held: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl JobError {
    /// An error with a one-line message that holds no content.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, held: false, source: None }
    }

    /// Keeps the error that caused this one for the chain.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Keeps the time the other side asked us to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Holds the job: what failed is known to be away, which is no fault of the file's.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// The class of the code, but for a job that is held because what it needs is known to be away.
    pub const fn class(&self) -> Class {
        if self.held { Class::Hold } else { self.code.class() }
    }

    /// Message and sources in one line, outermost first; what the rows keep.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(error) = next {
            text.push_str(": ");
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl StdError for JobError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row_in_the_error_documentation() {
        let page = include_str!("../../../docs/errors.md");
        // Those of a job; the reasons of a guest that does not load follow, and `guests::shelf` holds them to the page.
        let (page, _) = page.split_once("\n## Guests that do not load\n").expect("the section");
        for code in Code::ALL {
            let start = format!("| `{code}` | {} |", code.class().as_str());
            let rows = page.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(rows, 1, "docs/errors.md needs exactly one row that starts with {start:?}");
        }
        let documented = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(documented, Code::ALL.len(), "docs/errors.md documents a code that does not exist");
    }

    #[test]
    fn codes_are_distinct() {
        let distinct: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(distinct.len(), Code::ALL.len());
    }

    #[test]
    fn the_chain_names_every_cause_once() {
        let error = JobError::new(Code::S3ReadFailed, "read the original").caused_by(std::io::Error::other("reset"));
        assert_eq!(error.chain(), "read the original: reset");
        assert_eq!(error.to_string(), "s3_read_failed: read the original");
    }
}
