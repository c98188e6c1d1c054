//! The words of the trade as plain data: files, jobs, claims and their keys.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{code::Code, job_error::Step};

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// A row in `files`.
    FileId;
    /// A row in `processing_jobs`.
    JobId;
    /// The owner of a file.
    UserId;
}

/// Grows at each claim of a job and never goes back; every write of a claim carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseToken(pub i64);

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job and the token under which it is held: what every fenced write names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The token of this claim.
    pub token: LeaseToken,
}

/// A job that this worker holds. Not `Clone`: settling consumes it, so no job is settled twice.
#[derive(Debug)]
pub struct Claim {
    /// What every write of this claim carries.
    pub lease: Lease,
    /// Attempts begun, this one included.
    pub attempts: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Rate limits met so far.
    pub snoozes: i32,
    /// How often the job has been renewed.
    pub life: i32,
    /// The stream the job belongs to.
    pub channel: String,
    /// The prompt version that the producer asked for.
    pub prompt_version: Option<String>,
    /// The guest that this or an earlier claim of this life pinned, as lower hex.
    pub guest_digest: String,
    /// Where the job was in the queue.
    pub place: QueuePosition,
    /// How long the job was due before it was claimed.
    pub lag: Duration,
    /// The document.
    pub file: Arc<FileInfo>,
    /// Answers that earlier attempts of this life received.
    pub journal: Vec<JournalEntry>,
}

/// A place in the queue, in the order of the claim within a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePosition {
    /// When the job was due.
    pub due: OffsetDateTime,
    /// The job.
    pub job: JobId,
}

/// What a claim knows of its file.
#[derive(Debug)]
pub struct FileInfo {
    /// The file.
    pub id: FileId,
    /// Its owner.
    pub user: UserId,
    /// The bucket that holds its objects.
    pub bucket: String,
    /// The key of the original.
    pub original_key: String,
    /// The name the user gave it; may be empty. Content: never logged.
    pub filename: String,
    /// IANA media type of the original.
    pub media_type: String,
    /// When the file was received, RFC 3339 in UTC, from the database.
    pub received_at: String,
    /// What the application attached, sorted by name. Content: never logged.
    pub attributes: Vec<(String, String)>,
}

/// One answer that was received and committed.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// Position among the job's answers, from 0.
    pub ordinal: i32,
    /// sha256 of the prompt that it answers.
    pub prompt_sha256: Vec<u8>,
    /// The key of its bytes.
    pub key: String,
    /// sha256 of its bytes.
    pub sha256: Vec<u8>,
    /// The model that gave it.
    pub model: String,
    /// Why the model stopped, in the provider's words.
    pub finish_reason: String,
}

/// What a worker can run; the claim takes nothing else and pins the digest of what it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// Prompt version and the digest that serves it now.
    pub versions: Vec<(String, String)>,
    /// The digest for jobs that name no prompt version, in channels without a release of their own.
    pub default: Option<String>,
    /// Channels that have releases of their own.
    pub channels: Vec<ServedChannel>,
    /// Every digest that is loaded, those that only pinned jobs still need included.
    pub digests: Vec<String>,
}

/// A channel in which a release was activated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedChannel {
    /// Its name.
    pub name: String,
    /// The digest for new jobs; none where this worker can run no release of the channel, so that they wait for another.
    pub active: Option<String>,
    /// Its prompt version: a job that names it gets this digest, not another one of that version.
    pub version: Option<String>,
    /// A digest and its share of new jobs that name no prompt version, in percent.
    pub canary: Option<(String, i32)>,
}

/// How a claim ends: exactly one of these, written in one transaction. Built by the named constructors alone.
#[derive(Debug)]
pub struct Settlement {
    /// The outcome as `job_attempts` keeps it.
    pub outcome: SettleOutcome,
    /// How long the job waits before it can be claimed again; nothing for terminal outcomes.
    pub wait: Duration,
    /// What went wrong, where something did.
    pub failure: Option<Failure>,
    /// Keys and versions that the file row takes over.
    pub result: FileResult,
    /// What this attempt used.
    pub spent: Spent,
}

/// The end of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettleOutcome {
    /// The report is final.
    Succeeded,
    /// The job is dead.
    Failed,
    /// The job waits and has used an attempt.
    Retried,
    /// The job waits for a rate limit; attempt given back, snooze counted.
    Snoozed,
    /// The job waits for the operator; attempt given back.
    Held,
    /// The worker stops; attempt given back.
    Released,
}

impl SettleOutcome {
    /// The outcome as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Snoozed => "snoozed",
            Self::Held => "held",
            Self::Released => "released",
        }
    }
}

/// What the rows keep of an error: no content, only codes, steps and value-free text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub code: Code,
    /// Where.
    pub step: Step,
    /// Message and causes in one line.
    pub message: String,
}

/// What a terminal settlement writes to the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileResult {
    /// Key of `report.json`.
    pub report_key: Option<String>,
    /// Key of `raw_llm_output.json`.
    pub raw_output_key: Option<String>,
    /// The prompt version that ran.
    pub prompt_version: Option<String>,
    /// Its schema version.
    pub schema_version: Option<String>,
    /// Its digest, lower hex.
    pub guest_digest: Option<String>,
}

/// Tokens as the provider counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompts.
    pub input: i64,
    /// Of the answers.
    pub output: i64,
}

/// What an attempt used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Of the model.
    pub tokens: Tokens,
    /// In the sandbox, from instantiation to drop.
    pub guest_time: Duration,
}

impl Settlement {
    /// The report is written and everything agrees.
    pub fn succeeded(result: FileResult, spent: Spent) -> Self {
        Self { outcome: SettleOutcome::Succeeded, wait: Duration::ZERO, failure: None, result, spent }
    }

    /// The job is dead.
    pub fn failed(failure: Failure, result: FileResult, spent: Spent) -> Self {
        Self { outcome: SettleOutcome::Failed, wait: Duration::ZERO, failure: Some(failure), result, spent }
    }

    /// The job runs again after `wait`.
    pub fn retried(failure: Failure, wait: Duration, spent: Spent) -> Self {
        Self { outcome: SettleOutcome::Retried, wait, failure: Some(failure), result: FileResult::default(), spent }
    }

    /// The job runs again after `wait`, attempt given back, snooze counted.
    pub fn snoozed(failure: Failure, wait: Duration, spent: Spent) -> Self {
        Self { outcome: SettleOutcome::Snoozed, ..Self::retried(failure, wait, spent) }
    }

    /// The job runs again after `wait`, attempt given back.
    pub fn held(failure: Failure, wait: Duration, spent: Spent) -> Self {
        Self { outcome: SettleOutcome::Held, ..Self::retried(failure, wait, spent) }
    }

    /// The worker stops: the job can be claimed at once, attempt given back.
    pub fn released(spent: Spent) -> Self {
        let (wait, result) = (Duration::ZERO, FileResult::default());
        Self { outcome: SettleOutcome::Released, wait, failure: None, result, spent }
    }
}

/// Why a run is cut short from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The claim belongs to somebody else, or may by now: nothing more may be written.
    Lost,
    /// The worker stops: the claim is given back.
    Stopping,
    /// Somebody asked for the job's end: it fails.
    Cancelled,
}
