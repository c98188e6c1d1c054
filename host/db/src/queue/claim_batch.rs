//! What a claim has taken, row by row.

use std::{sync::Arc, time::Duration};

use assay_core::{
    claim::{Claim, QueuePosition},
    file_info::FileInfo,
    ids::{FileId, JobId, UserId},
    lease::{Lease, LeaseToken},
};
use sqlx::types::Json;
use time::{OffsetDateTime, macros::format_description};
use uuid::Uuid;

use crate::{
    lenient::{Lenient, UnreadableColumn},
    rows::{JournalRow, attributes, journal, media_type},
    stored_time::StoredTime,
};

/// The jobs that one call of [`crate::Database::claim`] took.
#[derive(Debug, Default)]
pub struct ClaimBatch {
    pub claims: Vec<Claim>,
    /// Claimed jobs that cannot run, because a column cannot be read. The caller settles each alone.
    pub unreadable: Vec<UnreadableJob>,
    /// Jobs that the database refuses to claim.
    pub refused: Vec<RefusedJob>,
    /// Whether jobs that cannot run now stand before these. Then the positions of these do not tell where the queue begins.
    pub past_backlog: bool,
}

/// A claimed job with a row that cannot be read.
#[derive(Clone, Debug)]
pub struct UnreadableJob {
    pub lease: Lease,
    pub file: FileId,
    pub column: UnreadableColumn,
}

/// A due job whose claim the database refuses, whichever worker claims it.
#[derive(Clone, Debug)]
pub struct RefusedJob {
    pub job: JobId,
    pub sqlstate: String,
    /// Whether the job was failed instead. Otherwise it stays queued: no other job could be claimed either, or the database
    /// refused that too.
    pub failed: bool,
}

/// A row of `sql/claim.sql`.
pub(super) struct ClaimRow {
    pub(super) id: Uuid,
    pub(super) lease_token: i64,
    pub(super) attempts: i32,
    pub(super) max_attempts: i32,
    pub(super) snoozes: i32,
    pub(super) life: i32,
    pub(super) channel: String,
    pub(super) prompt_version: Option<String>,
    pub(super) guest_digest: String,
    pub(super) next_run_at: StoredTime,
    pub(super) lag: f64,
    pub(super) file_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) storage_bucket: String,
    pub(super) storage_key_original: String,
    pub(super) original_filename: String,
    pub(super) extension: String,
    pub(super) attributes: Lenient<serde_json::Value>,
    pub(super) created_at: StoredTime,
    pub(super) journal: Lenient<Json<Vec<JournalRow>>>,
}

impl ClaimBatch {
    pub(super) fn add(&mut self, row: ClaimRow) {
        let lease = Lease { job: JobId(row.id), token: LeaseToken(row.lease_token) };
        let file = FileId(row.file_id);
        match row.decode() {
            Ok(claim) => self.claims.push(claim),
            Err(column) => self.unreadable.push(UnreadableJob { lease, file, column }),
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.claims.extend(other.claims);
        self.unreadable.extend(other.unreadable);
        self.refused.extend(other.refused);
        self.past_backlog |= other.past_backlog;
    }

    /// Returns how many jobs left the queue.
    pub fn len(&self) -> usize {
        self.claims.len() + self.unreadable.len()
    }

    /// Returns whether no job left the queue.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ClaimRow {
    fn decode(self) -> Result<Claim, UnreadableColumn> {
        // Due jobs have an instant that is over.
        let due = self.next_run_at.at().ok_or(UnreadableColumn("processing_jobs.next_run_at"))?;
        Ok(Claim {
            lease: Lease { job: JobId(self.id), token: LeaseToken(self.lease_token) },
            attempts: self.attempts,
            max_attempts: self.max_attempts,
            snoozes: self.snoozes,
            life: self.life,
            channel: self.channel,
            prompt_version: self.prompt_version,
            guest_digest: self.guest_digest,
            position: QueuePosition { due, job: JobId(self.id) },
            lag: Duration::try_from_secs_f64(self.lag).unwrap_or_default(),
            file: Arc::new(FileInfo {
                id: FileId(self.file_id),
                user: UserId(self.user_id),
                bucket: self.storage_bucket,
                original_key: self.storage_key_original,
                filename: self.original_filename,
                media_type: media_type(&self.extension).to_owned(),
                received_at: received_at(self.created_at)?,
                attributes: attributes(self.attributes.read("files.attributes")?),
            }),
            journal: journal(self.journal)?,
        })
    }
}

/// Returns the time of arrival as the contract writes it: RFC 3339 in UTC, in whole seconds.
pub(crate) fn received_at(created_at: StoredTime) -> Result<String, UnreadableColumn> {
    let unreadable = UnreadableColumn("files.created_at");
    let at = created_at.at().filter(|at| *at > OffsetDateTime::UNIX_EPOCH).ok_or(unreadable)?;
    at.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z")).map_err(|_| unreadable)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_of_arrival_is_written_in_whole_seconds() {
        let at = datetime!(2026-03-04 09:30:59.999999 UTC);
        assert_eq!(received_at(at.into()), Ok("2026-03-04T09:30:59Z".to_owned()));
        for odd in [StoredTime::Never, datetime!(0000-01-01 00:00:00 UTC).into()] {
            assert_eq!(received_at(odd), Err(UnreadableColumn("files.created_at")));
        }
    }
}
