//! A job that a worker has claimed, with everything that its run needs from the database.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;

use crate::{file_info::FileInfo, ids::JobId, journal_entry::JournalEntry, lease::Lease};

/// A claimed job. Not `Clone`: settling consumes it, so no job is settled twice.
#[derive(Debug)]
pub struct Claim {
    pub lease: Lease,
    /// Attempts begun, this one included.
    pub attempts: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Snoozes so far.
    pub snoozes: i32,
    /// 1 for a new job; each requeue adds 1.
    pub life: i32,
    pub channel: String,
    /// The prompt version that the producer asked for.
    pub prompt_version: Option<String>,
    /// The digest of the guest that this claim, or an earlier one since the last requeue, has pinned; lower hex.
    pub guest_digest: String,
    pub position: QueuePosition,
    /// How long the job was due before it was claimed.
    pub lag: Duration,
    pub file: Arc<FileInfo>,
    /// Answers that the job has received since it was last requeued, and those that the requeue kept.
    pub journal: Vec<JournalEntry>,
}

/// A position in the queue; the order within a priority is the order of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePosition {
    /// When the job is due.
    pub due: OffsetDateTime,
    pub job: JobId,
}
