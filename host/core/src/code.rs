//! The codes of failures: one table with a row per code.
//!
//! A row holds the consequences for the job, its answers, the release and the dependency, and the fix for the operator.
//! docs/errors.md is generated from it. Each adapter maps its own errors to codes (`From<ItsError> for JobError`). No code
//! is derived from an error's text.

use std::fmt;

use serde::Serialize;

use crate::breaker::reason::BreakerReason;

/// What the worker does with a job after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The same input fails again: the job ends.
    Fail,
    /// Transient: the job waits for its backoff and uses an attempt.
    Retry,
    /// Rate-limited: the job waits, its attempt is given back, at most `JOB_MAX_SNOOZES` times.
    Snooze,
    /// The operator must act: the attempt is given back, the job waits a minute, and an error is logged.
    Hold,
}

impl Class {
    /// Returns the class as logs, metrics and pages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Snooze => "snooze",
            Self::Hold => "hold",
        }
    }
}

/// What a requeue does with the answers of a failed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswersOnRequeue {
    /// The answers are paid for and did not cause the failure.
    Keep,
    /// The same answers on the same guest would fail again.
    Discard,
}

/// Whether a code counts as a fault of the release that the job ran on.
///
/// The guest writes the question. So a question that the provider refuses and an answer that is cut off count against the
/// release. Failures of the store, the network and the configuration do not: they affect every release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseVerdict {
    Innocent,
    AtFault,
}

/// What a code shows about the dependency that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyVerdict {
    /// The dependency works; the job failed for another reason.
    Healthy,
    /// The dependency did not work; a single failure may be chance.
    Failure,
    /// The dependency will not work until the operator acts.
    Misconfigured(BreakerReason),
    /// Nothing: the dependency was not called, or it limits the rate.
    Ignored,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CodeRow {
    /// The code as it is stored.
    pub text: &'static str,
    pub class: Class,
    pub answers: AnswersOnRequeue,
    pub release: ReleaseVerdict,
    pub dependency: DependencyVerdict,
    /// What happened, to what; Markdown.
    pub happened: &'static str,
    /// What the operator can do; Markdown.
    pub fix: &'static str,
}

macro_rules! codes {
    ($($section:literal => $($variant:ident { $text:literal, $class:ident, $answers:ident, $release:ident, $dependency:expr, happened: $happened:literal, fix: $fix:literal })+)+) => {
        /// Stable machine code of a failure, as `files.error_code` and `job_attempts.code` hold it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $happened] $variant),+),+ }

        impl Code {
            /// Every code, in the order of a job's life.
            pub const ALL: &'static [Self] = &[$($(Self::$variant),+),+];

            /// The codes, grouped by the part of a job's life in which they occur.
            pub const SECTIONS: &'static [(&'static str, &'static [Self])] = &[$(($section, &[$(Self::$variant),+])),+];

            /// Returns the code's row of the table.
            pub const fn row(self) -> CodeRow {
                use DependencyVerdict::{Failure, Healthy, Ignored, Misconfigured};
                match self {
                    $($(Self::$variant => CodeRow {
                        text: $text,
                        class: Class::$class,
                        answers: AnswersOnRequeue::$answers,
                        release: ReleaseVerdict::$release,
                        dependency: $dependency,
                        happened: $happened,
                        fix: $fix,
                    }),+),+
                }
            }
        }
    };
}

codes! {
    "Before the guest" =>
    VersionNotAvailable { "version_not_available", Fail, Keep, Innocent, Ignored, happened: "The job names a prompt version that no live worker has known for 15 minutes (`VERSION_PATIENCE_MS`). A worker with a guest that does not load never decides this.", fix: "Deploy a worker with that guest, or enqueue the file without a prompt version. Then enqueue it again." }
    RowUnreadable { "row_unreadable", Fail, Keep, Innocent, Ignored, happened: "A row of the job or its file has a value that cannot be read, such as `attributes` nested 200 deep or `created_at` of `infinity`, or that the database refuses to change. The message names the column. Other jobs go on.", fix: "Correct the named column of the file (`files.id` is in the log line), then requeue the job. Correct the producer too." }
    GuestLoadFailed { "guest_load_failed", Hold, Keep, Innocent, Ignored, happened: "The worker that claimed the job has not loaded its pinned digest, or the sandbox has no room.", fix: "Look at `guests_not_loaded` in `/readyz` and at `assay check`. Put the guest back into `GUEST_DIR`." }
    WorkerOutOfFiles { "worker_out_of_files", Hold, Keep, Innocent, Ignored, happened: "The worker, or its machine, may open no more files, so there was no connection to the model, the bucket or the database.", fix: "Raise the limit of open files (`ulimit -Hn`, `LimitNOFILE=` of systemd), or lower `WORKER_CONCURRENCY`. A worker raises its own soft limit to the hard one." }
    S3ReadFailed { "s3_read_failed", Retry, Keep, Innocent, Failure, happened: "The original could not be read: connection, timeout, 5xx, throttling, or a body that broke off.", fix: "Usually none. If it stays: the store's own health, and `S3_OPERATION_TIMEOUT_MS` for slow links." }
    S3AccessDenied { "s3_access_denied", Hold, Keep, Innocent, Misconfigured(BreakerReason::Authentication), happened: "The store refused the keys or their rights on this object, their session has ended, or no role gave any.", fix: "`assay check` says which. Renew `S3_ACCESS_KEY_ID` and `S3_SECRET_ACCESS_KEY`, or the role; or grant get, put and delete on `users/*` and get and put on `guests/*`." }
    S3ConfigError { "s3_config_error", Hold, Keep, Innocent, Misconfigured(BreakerReason::Bucket), happened: "The bucket does not exist or is in another region, or the store does not understand the request.", fix: "`assay check` tells which; see `S3_BUCKET`, `S3_REGION`, `S3_ENDPOINT`." }
    S3ClockSkewed { "s3_clock_skewed", Hold, Keep, Innocent, Misconfigured(BreakerReason::Clock), happened: "The store refuses the signature, because the clock of the worker or of the store is wrong by more than 15 minutes.", fix: "Set the clock of the worker (NTP). No file fails meanwhile." }
    TranscriptNotFound { "transcript_not_found", Fail, Keep, Innocent, Healthy, happened: "The object of `storage_key_original` does not exist.", fix: "Upload the original, then enqueue the file again." }
    TranscriptEmpty { "transcript_empty", Fail, Keep, Innocent, Ignored, happened: "The original is empty or has only white space.", fix: "Nothing to do for this file. Check the producer." }
    TranscriptInvalidEncoding { "transcript_invalid_encoding", Fail, Keep, Innocent, Ignored, happened: "The original is not UTF-8, and the message names the first wrong byte; or its gzip is damaged.", fix: "Convert the original to UTF-8 and upload it again." }
    TranscriptTooLarge { "transcript_too_large", Fail, Keep, Innocent, Healthy, happened: "The original is larger than `TRANSCRIPT_MAX_BYTES`.", fix: "Split it, or raise the limit. Consider `GUEST_MEMORY_BYTES` too." }
    "In the guest" =>
    GuestTrap { "guest_trap", Fail, Discard, AtFault, Ignored, happened: "The guest panicked, ran out of stack, or called a function that the sandbox denies. The same input traps again.", fix: "Fix the guest. `raw_llm_output.json` holds the answers and the guest's log." }
    GuestTimeout { "guest_timeout", Retry, Keep, AtFault, Ignored, happened: "A guest call took longer than `GUEST_CALL_TIMEOUT_MS`. This is wall-clock time, so a busy machine may be the reason.", fix: "If a job ends with this code: fix the guest, or give the worker more cores." }
    GuestOutOfMemory { "guest_out_of_memory", Fail, Keep, AtFault, Ignored, happened: "A guest call needed more memory or table space than its limit.", fix: "Fix the guest, or raise `GUEST_MEMORY_BYTES`." }
    GuestBadOutput { "guest_bad_output", Fail, Discard, AtFault, Ignored, happened: "The guest returned more than `GUEST_OUTPUT_BYTES`, or a value outside the contract.", fix: "Fix the guest." }
    GuestLimitExceeded { "guest_limit_exceeded", Fail, Keep, AtFault, Ignored, happened: "The guest asked for more rounds, questions or bytes than a job may use, or asked nothing. The message names the limit.", fix: "Fix the guest, or raise the named limit." }
    GuestNondeterministic { "guest_nondeterministic", Fail, Discard, AtFault, Ignored, happened: "The guest asked another question for the same transcript and answers.", fix: "Fix the guest: do not iterate over hash maps, and do not keep state between calls." }
    "At the model" =>
    LlmNetworkError { "llm_network_error", Retry, Keep, Innocent, Failure, happened: "The connection could not be made, or it broke.", fix: "Usually none. If it stays: `LLM_BASE_URL`, DNS, TLS, proxies." }
    LlmTimeout { "llm_timeout", Retry, Keep, Innocent, Failure, happened: "The model did not connect, continue or finish in time. The message says which.", fix: "If it stays: `LLM_TIMEOUT_MS`, `LLM_IDLE_TIMEOUT_MS`, or a faster model." }
    LlmConflict { "llm_conflict", Retry, Keep, Innocent, Ignored, happened: "The provider answered 409.", fix: "Usually none." }
    LlmRateLimited { "llm_rate_limited", Snooze, Keep, Innocent, Ignored, happened: "The provider limits the rate (429, 425, 498). `Retry-After`, `x-ratelimit-reset-*` and Google's `retryDelay` are obeyed, up to an hour.", fix: "Use fewer slots, or get a higher limit from the provider." }
    LlmQuotaExhausted { "llm_quota_exhausted", Hold, Keep, Innocent, Misconfigured(BreakerReason::Quota), happened: "Quota or credit is used up. Waiting does not help.", fix: "Top up the account. Held jobs go on within two minutes." }
    LlmProvider5xx { "llm_provider_5xx", Retry, Keep, Innocent, Failure, happened: "The provider failed or is overloaded.", fix: "Usually none; see the provider's status page." }
    LlmAuthFailed { "llm_auth_failed", Hold, Keep, Innocent, Misconfigured(BreakerReason::Authentication), happened: "The provider refused the key.", fix: "Renew `LLM_API_KEY` and restart the workers. No file fails meanwhile." }
    LlmModelNotFound { "llm_model_not_found", Hold, Keep, AtFault, Misconfigured(BreakerReason::Model), happened: "The provider does not know the model, or a guest uses an alias that `LLM_MODELS` lacks.", fix: "Correct `LLM_MODEL` or `LLM_MODELS`." }
    LlmContextTooLong { "llm_context_too_long", Fail, Keep, AtFault, Healthy, happened: "The prompt does not fit into the model's window.", fix: "Use a guest that maps and reduces, or a model with a larger window." }
    LlmRequestRejected { "llm_request_rejected", Fail, Keep, AtFault, Healthy, happened: "The provider refused the request for another reason.", fix: "Look at the guest's schema and limits, and at the provider's documentation of the model. The worker leaves out by itself what an endpoint rejects by name, and logs it (`the model rejected a part of the request`)." }
    LlmGatewayRefused { "llm_gateway_refused", Fail, Keep, Innocent, Misconfigured(BreakerReason::Gateway), happened: "A firewall or gateway before the endpoint refused this document and sent a page (403, 406 with `text/html`). Where three documents in a row are refused so, the endpoint itself is asked, and while it refuses too, jobs are held.", fix: "Look at the document and at the rules of what stands before `LLM_BASE_URL`. Two SQL statements in a transcript are enough for some firewalls." }
    LlmBadEnvelope { "llm_bad_envelope", Retry, Keep, Innocent, Failure, happened: "A success status with a body that is not a completion, as gateways send it.", fix: "If it stays: `LLM_BASE_URL` points at something that is no Chat Completions API." }
    LlmAnswerTooLarge { "llm_answer_too_large", Fail, Keep, AtFault, Healthy, happened: "The answer is larger than `ANSWER_MAX_BYTES`.", fix: "Limit it in the guest with `max-output-tokens`." }
    LlmOutputTruncated { "llm_output_truncated", Fail, Discard, AtFault, Healthy, happened: "The answer was cut at the token limit. It is kept, and the guest does not see it.", fix: "Raise the guest's `max-output-tokens`, or ask for less." }
    LlmRefused { "llm_refused", Fail, Discard, AtFault, Healthy, happened: "The model refused to answer. Its words are in `raw_llm_output.json`.", fix: "Look at the document and the prompt." }
    LlmContentFiltered { "llm_content_filtered", Fail, Discard, AtFault, Healthy, happened: "The provider's filter or moderation withheld the answer or refused the document.", fix: "Look at the document, the prompt and the provider's filter." }
    "After the answer" =>
    JournalUnreadable { "journal_unreadable", Retry, Keep, Innocent, Healthy, happened: "A received answer is missing in the bucket, or its bytes differ from the journal.", fix: "Restore the object that the message names, and requeue the job. `assay_enqueue` starts the job without the journal, and buys the answer again." }
    JournalConflict { "journal_conflict", Retry, Keep, Innocent, Healthy, happened: "The journal has another answer to the same question, from an earlier claim. That answer stays, and the next attempt uses it.", fix: "Usually none. If it stays: another program writes to `job_answers`." }
    SchemaValidationFailed { "schema_validation_failed", Fail, Discard, Innocent, Ignored, happened: "The guest rejected the answers: no JSON, against the schema, or against its own rules. The message has keywords and pointers.", fix: "Read `raw_llm_output.json` (`assay report FILE-ID --raw`). Fix the prompt or the schema." }
    ReportInvalid { "report_invalid", Fail, Discard, AtFault, Ignored, happened: "The guest accepted a document that the host's second check refuses: no JSON, a name twice in one object, size, depth or schema.", fix: "Fix the guest: its own check is weaker than its schema." }
    S3WriteFailed { "s3_write_failed", Retry, Keep, Innocent, Failure, happened: "An answer or the report could not be written. Received answers are not bought again.", fix: "Usually none. If it stays: the store's health." }
    DbAccessDenied { "db_access_denied", Hold, Keep, Innocent, Misconfigured(BreakerReason::Authentication), happened: "The database refuses the worker: its password has expired, its role is gone, or a right for the claim was withdrawn. Nothing is claimed. Only jobs that were running get this code.", fix: "Correct user, password and database in `DATABASE_URL`, or grant the user its rights; `assay check` tells which." }
    DbUpdateFailed { "db_update_failed", Retry, Keep, Innocent, Failure, happened: "The database failed while a job was settled or an answer was journaled. A report whose row could not be written is deleted.", fix: "If it stays: the worker's log has the SQLSTATE." }
    WorkerLost { "worker_lost", Fail, Keep, Innocent, Ignored, happened: "The worker died while it ran the job, at each attempt.", fix: "Find out what kills the worker. Memory is the most likely cause." }
    Cancelled { "cancelled", Fail, Keep, Innocent, Ignored, happened: "The job was cancelled (`assay jobs cancel`). Its received answers are kept.", fix: "Nothing to fix. If it was a mistake, use `assay requeue`." }
}

impl Code {
    /// Returns the code as it is stored.
    pub const fn as_str(self) -> &'static str {
        self.row().text
    }

    /// Returns what the worker does with a job whose attempt failed with this code.
    pub const fn class(self) -> Class {
        self.row().class
    }

    /// Returns whether a requeue drops the answers and runs the job on the channel's current release.
    pub fn discards_answers(self) -> bool {
        self.row().answers == AnswersOnRequeue::Discard
    }

    /// Returns whether the code counts as a fault of the release that the job ran on.
    pub fn is_release_fault(self) -> bool {
        self.row().release == ReleaseVerdict::AtFault
    }

    /// Returns what the operator can do, as plain text.
    pub fn fix(self) -> String {
        self.row().fix.replace('`', "")
    }

    /// Returns the matching codes as they are stored.
    pub fn texts(matches: impl Fn(Self) -> bool) -> Vec<String> {
        Self::ALL.iter().filter(|code| matches(**code)).map(|code| code.as_str().to_owned()).collect()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_distinct() {
        let distinct: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(distinct.len(), Code::ALL.len());
    }

    #[test]
    fn a_rejection_discards_its_answers_and_a_wrong_key_does_not() {
        assert!(Code::SchemaValidationFailed.discards_answers() && Code::LlmRefused.discards_answers());
        assert!(!Code::LlmAuthFailed.discards_answers() && !Code::GuestLimitExceeded.discards_answers());
    }

    #[test]
    fn a_guest_timeout_is_a_release_fault_and_a_rejection_is_not() {
        assert!(Code::GuestTimeout.is_release_fault(), "although it is tried again");
        assert!(!Code::SchemaValidationFailed.is_release_fault());
        assert!(!Code::texts(Code::is_release_fault).contains(&"s3_read_failed".to_owned()));
    }

    #[test]
    fn the_held_codes_are_those_of_misconfigured_dependencies() {
        // What the worker itself lacks says nothing about a dependency.
        let of_worker = [Code::GuestLoadFailed, Code::WorkerOutOfFiles];
        let held = |code: &&Code| code.class() == Class::Hold && !of_worker.contains(code);
        // A firewall that refuses one document is no fault of the endpoint, so that document fails.
        let misconfigured = |code: &&Code| matches!(code.row().dependency, DependencyVerdict::Misconfigured(reason) if reason != BreakerReason::Gateway);
        let (held, misconfigured): (Vec<_>, Vec<_>) =
            (Code::ALL.iter().filter(held).collect(), Code::ALL.iter().filter(misconfigured).collect());
        assert_eq!(held, misconfigured);
    }
}
