//! The words of the trade as plain data: files, jobs, claims and their keys.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// The prompt version that the producer asked for, or that an earlier attempt pinned.
    pub prompt_version: Option<String>,
    /// The guest that an earlier attempt pinned, as lower hex.
    pub guest_digest: Option<String>,
    /// The document.
    pub file: Arc<FileFacts>,
    /// Answers that earlier attempts of this life received.
    pub journal: Vec<JournalEntry>,
}

/// What a claim knows of its file.
#[derive(Debug)]
pub struct FileFacts {
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

/// Where the objects of a file live. A zombie can only write where nobody points, because the token is in each key.
impl FileFacts {
    fn folder(&self) -> String {
        format!("users/{}/files/{}", self.user, self.id)
    }

    /// The key of an artifact of one run.
    pub fn run_key(&self, lease: Lease, name: &str) -> String {
        format!("{}/runs/{}-{}/{name}", self.folder(), lease.job, lease.token)
    }

    /// The key of a received answer.
    pub fn answer_key(&self, lease: Lease, ordinal: i32) -> String {
        format!("{}/answers/{}/{ordinal}-{}.json", self.folder(), lease.job, lease.token)
    }
}

/// The key of an original that Assay uploads itself.
pub fn original_key(user: UserId, file: FileId, extension: &str) -> String {
    format!("users/{user}/files/{file}/original.{extension}")
}
