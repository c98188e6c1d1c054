//! Ended jobs whose answers can be run through a guest again.

use std::cmp::Reverse;

use assay_core::{
    file_info::FileInfo,
    ids::{FileId, UserId},
    journal_entry::JournalEntry,
};
use serde::Serialize;
use sqlx::types::Json;
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::{
    database::Database,
    error::DbError,
    lenient::{Lenient, UnreadableColumn},
    parts::{Parts, Refused},
    queue::received_at,
    rows::{JournalRow, attributes, journal, media_type},
    stored_time::StoredTime,
};

/// Which ended jobs are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplaySelection {
    /// When they ended, or later.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    pub channel: Option<String>,
    /// The newest ones are kept.
    pub limit: Option<u64>,
}

/// A position in the list of jobs, which begins with the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayCursor {
    ended_at: OffsetDateTime,
    job: Uuid,
}

impl ReplayCursor {
    /// Before the newest job.
    pub const START: Self = Self { ended_at: datetime!(9999-12-31 23:59:59 UTC), job: Uuid::max() };
}

/// A job with answers, before its rows are read.
#[derive(Clone, Debug)]
struct ReplayKey {
    ended_at: OffsetDateTime,
    job: Uuid,
    file: Uuid,
}

/// A job with answers that its guest accepted or rejected.
#[derive(Debug)]
pub struct ReplayJob {
    /// Where the list continues behind it.
    pub cursor: ReplayCursor,
    pub file_id: FileId,
    /// Its rows, unless one of them cannot be read.
    pub case: Result<StoredCase, UnreadableColumn>,
}

/// What the rows hold of an ended job.
#[derive(Debug)]
pub struct StoredCase {
    pub file: FileInfo,
    /// Bytes of the original, as the producer gave them.
    pub size_bytes: i64,
    /// None if the guest rejected the answers.
    pub report_key: Option<String>,
    /// The guest that ran, lower hex.
    pub guest_digest: String,
    /// The answers of its last life.
    pub journal: Vec<JournalEntry>,
}

impl Database {
    /// Counts the jobs that are meant.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn replay_count(&self, selection: &ReplaySelection) -> Result<u64, DbError> {
        let count = self
            .repeat(async |db| {
                sqlx::query_scalar!(
                    r#"
                    select count(*) as "count!"
                      from (select 1
                              from job_attempts a
                              join processing_jobs j
                                on j.id = a.job_id and j.life = a.life and j.lease_token = a.lease_token
                             where a.outcome = j.status and a.ended_at >= $1
                               and (a.outcome = 'succeeded' or a.code = 'schema_validation_failed')
                               and ($2::text is null or j.channel = $2)
                               and exists (select from job_answers w where w.job_id = j.id and w.life = j.life)
                             limit $3) as meant
                    "#,
                    selection.since.unwrap_or(OffsetDateTime::UNIX_EPOCH),
                    selection.channel,
                    selection.limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)),
                )
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Returns the next jobs behind `after`, the newest first, at most `rows`. The caller applies `selection.limit`.
    ///
    /// A job whose rows the database refuses to return, because a text is no UTF-8, is among them without its case.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn replay_jobs(
        &self,
        selection: &ReplaySelection,
        after: ReplayCursor,
        rows: usize,
    ) -> Result<Vec<ReplayJob>, DbError> {
        match self.read_replay_jobs(selection, after, rows, None).await {
            Err(error) if error.is_refused_row() => self.replay_jobs_in_parts(selection, after, rows).await,
            result => result,
        }
    }

    async fn replay_jobs_in_parts(
        &self,
        selection: &ReplaySelection,
        after: ReplayCursor,
        rows: usize,
    ) -> Result<Vec<ReplayJob>, DbError> {
        let keys = self.replay_keys(selection, after, rows).await?;
        let (mut jobs, mut parts) = (Vec::new(), Parts::of(&keys));
        while let Some(part) = parts.next_part() {
            let only: Vec<_> = part.iter().map(|key| key.job).collect();
            let read = self.read_replay_jobs(selection, after, part.len(), Some(&only)).await;
            jobs.extend(parts.settle(part, read)?.unwrap_or_default());
        }
        jobs.extend(parts.refused().into_iter().map(|Refused { row, .. }| ReplayJob {
            cursor: ReplayCursor { ended_at: row.ended_at, job: row.job },
            file_id: FileId(row.file),
            case: Err(UnreadableColumn("files")),
        }));
        jobs.sort_by_key(|job| Reverse((job.cursor.ended_at, job.cursor.job)));
        Ok(jobs)
    }

    /// Returns the jobs of [`Self::replay_jobs`] without any text.
    async fn replay_keys(
        &self,
        selection: &ReplaySelection,
        after: ReplayCursor,
        rows: usize,
    ) -> Result<Vec<ReplayKey>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                ReplayKey,
                r#"
                select a.ended_at, j.id as job, j.file_id as file
                  from job_attempts a
                  join processing_jobs j on j.id = a.job_id and j.life = a.life and j.lease_token = a.lease_token
                 where a.outcome = j.status and a.ended_at >= $1 and (a.ended_at, a.job_id) < ($3, $4)
                   and (a.outcome = 'succeeded' or a.code = 'schema_validation_failed')
                   and ($2::text is null or j.channel = $2)
                   and exists (select from job_answers w where w.job_id = j.id and w.life = j.life)
                 order by a.ended_at desc, a.job_id desc
                 limit $5
                "#,
                selection.since.unwrap_or(OffsetDateTime::UNIX_EPOCH),
                selection.channel,
                after.ended_at,
                after.job,
                i64::try_from(rows).unwrap_or(i64::MAX),
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    async fn read_replay_jobs(
        &self,
        selection: &ReplaySelection,
        after: ReplayCursor,
        rows: usize,
        only: Option<&[Uuid]>,
    ) -> Result<Vec<ReplayJob>, DbError> {
        // A job ends with its last attempt. The attempt's `ended_at` has an index, the job's has none.
        let rows = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    select a.ended_at, j.id as job_id, j.guest_digest as "guest_digest!: Lenient<String>",
                           case when j.status = 'succeeded' then f.storage_key_report end as report_key,
                           f.id as file_id, f.user_id, f.storage_bucket, f.storage_key_original, f.original_filename,
                           f.extension, f.attributes as "attributes: Lenient<serde_json::Value>", f.size_bytes,
                           f.created_at as "created_at: StoredTime",
                           (select coalesce(json_agg(json_build_object(
                                       'ordinal', w.ordinal, 'prompt_sha256', encode(w.prompt_sha256, 'hex'),
                                       'key', w.key, 'sha256', encode(w.sha256, 'hex'), 'model', w.model,
                                       'finish_reason', w.finish_reason) order by w.ordinal), '[]')
                              from job_answers w
                             where w.job_id = j.id and w.life = j.life) as "journal!: Lenient<Json<Vec<JournalRow>>>"
                      from job_attempts a
                      join processing_jobs j on j.id = a.job_id and j.life = a.life and j.lease_token = a.lease_token
                      join files f on f.id = j.file_id
                     where a.outcome = j.status and a.ended_at >= $1 and (a.ended_at, a.job_id) < ($3, $4)
                       and (a.outcome = 'succeeded' or a.code = 'schema_validation_failed')
                       and ($2::text is null or j.channel = $2)
                       and ($6::uuid[] is null or j.id = any ($6))
                       and exists (select from job_answers w where w.job_id = j.id and w.life = j.life)
                     order by a.ended_at desc, a.job_id desc
                     limit $5
                    "#,
                    selection.since.unwrap_or(OffsetDateTime::UNIX_EPOCH),
                    selection.channel,
                    after.ended_at,
                    after.job,
                    i64::try_from(rows).unwrap_or(i64::MAX),
                    only,
                )
                .fetch_all(db)
                .await
            })
            .await?;
        let job = rows.into_iter().map(|row| {
            let (cursor, file_id) = (ReplayCursor { ended_at: row.ended_at, job: row.job_id }, FileId(row.file_id));
            let case = || {
                Ok(StoredCase {
                    file: FileInfo {
                        id: file_id,
                        user: UserId(row.user_id),
                        bucket: row.storage_bucket,
                        original_key: row.storage_key_original,
                        filename: row.original_filename,
                        media_type: media_type(&row.extension).to_owned(),
                        received_at: received_at(row.created_at)?,
                        attributes: attributes(row.attributes.read("files.attributes")?),
                    },
                    size_bytes: row.size_bytes,
                    report_key: row.report_key,
                    guest_digest: row.guest_digest.read("processing_jobs.guest_digest")?,
                    journal: journal(row.journal)?,
                })
            };
            ReplayJob { cursor, file_id, case: case() }
        });
        Ok(job.collect())
    }
}
