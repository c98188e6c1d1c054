//! Jobs for operators: a list, or one job with its history.

use assay_core::{
    ids::{FileId, JobId, UserId},
    lease::{Lease, LeaseToken},
    object_keys::run_folder,
};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{database::Database, error::DbError, stored_time::StoredTime};

/// Which jobs a list is of.
#[derive(Clone, Debug, Default)]
pub struct JobSelection {
    pub status: Option<String>,
    /// The last error of this life.
    pub code: Option<String>,
    pub channel: Option<String>,
    /// When their rows were last changed, or later.
    pub since: Option<OffsetDateTime>,
    pub limit: i64,
}

#[derive(Clone, Debug, Serialize)]
pub struct JobRow {
    pub job_id: Uuid,
    pub file_id: Uuid,
    pub status: String,
    pub cancel_requested: bool,
    pub channel: String,
    /// A greater one is claimed sooner.
    pub priority: i32,
    /// Grows each time the job is requeued.
    pub life: i32,
    /// Begun in this life, the running one included.
    pub attempts: i32,
    pub max_attempts: i32,
    pub snoozes: i32,
    pub next_run_at: StoredTime,
    /// The worker that runs it.
    pub locked_by: Option<String>,
    /// The last error.
    pub code: Option<String>,
    pub step: Option<String>,
    /// When its row was last changed, heartbeats aside.
    pub updated_at: StoredTime,
}

/// A job with its file and its history.
#[derive(Clone, Debug, Serialize)]
pub struct JobDetail {
    #[serde(flatten)]
    pub job: JobRow,
    /// Of the last error, with its causes, without content.
    pub message: Option<String>,
    /// As it was enqueued.
    pub prompt_version: Option<String>,
    /// The pinned guest, lower hex.
    pub guest_digest: Option<String>,
    /// When it was claimed.
    pub locked_at: Option<StoredTime>,
    pub heartbeat_at: Option<StoredTime>,
    /// Of this life.
    pub answers: i64,
    /// When this life began.
    pub queued_at: Option<StoredTime>,
    pub started_at: Option<StoredTime>,
    pub processed_at: Option<StoredTime>,
    /// Of all its objects.
    pub bucket: String,
    pub report_key: Option<String>,
    /// Of the answers of a failed job.
    pub raw_output_key: Option<String>,
    /// Ended claims, the oldest first.
    pub history: Vec<JobAttempt>,
}

/// One claim that ended.
#[derive(Clone, Debug, Serialize)]
pub struct JobAttempt {
    pub lease_token: i64,
    pub life: i32,
    /// Its number in its life, from 1.
    pub attempt: i32,
    pub outcome: String,
    pub code: Option<String>,
    pub step: Option<String>,
    /// With its causes, without content.
    pub message: Option<String>,
    pub started_at: StoredTime,
    /// From claim to end.
    pub seconds: f64,
    /// In the sandbox.
    pub guest_micros: i64,
    pub tokens_in: i64,
    pub tokens_out: i64,
    /// Of the guest that ran, lower hex.
    pub guest_digest: Option<String>,
    /// None if the guest is not a published release.
    pub release: Option<String>,
    pub worker: String,
    /// The prefix of its artifacts' keys; it may have left none.
    pub run_folder: String,
    /// Of the report that it made.
    pub report_key: Option<String>,
}

impl Database {
    /// Returns jobs, the last changed first.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn jobs(&self, selection: &JobSelection) -> Result<Vec<JobRow>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                JobRow,
                r#"
                select j.id as job_id, j.file_id, j.status, j.cancel_requested_at is not null as "cancel_requested!",
                       j.channel, j.priority, j.life, j.attempts, j.max_attempts, j.snoozes,
                       j.next_run_at as "next_run_at: StoredTime", j.locked_by, j.last_error_code as code,
                       j.last_error_step as step, j.updated_at as "updated_at: StoredTime"
                  from processing_jobs j
                 where ($1::text is null or j.status = $1)
                   and ($2::text is null or j.last_error_code = $2)
                   and ($3::text is null or j.channel = $3)
                   and ($4::timestamptz is null or j.updated_at >= $4)
                 order by j.updated_at desc, j.id
                 limit $5
                "#,
                selection.status,
                selection.code,
                selection.channel,
                selection.since,
                selection.limit,
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Returns a job by its id or its file's, with its history.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn job(&self, named: Uuid) -> Result<Option<JobDetail>, DbError> {
        let found = self
            .repeat(async |db| {
                let job = sqlx::query!(
                    r#"
                    select j.id, j.file_id, j.status, j.cancel_requested_at is not null as "cancel_requested!",
                           j.channel, j.priority, j.life, j.attempts, j.max_attempts, j.snoozes,
                           j.next_run_at as "next_run_at: StoredTime", j.locked_by,
                           j.locked_at as "locked_at: StoredTime", j.heartbeat_at as "heartbeat_at: StoredTime",
                           j.last_error_code, j.last_error_step, j.last_error_message,
                           j.updated_at as "updated_at: StoredTime", j.prompt_version, j.guest_digest,
                           f.user_id, f.queued_at as "queued_at: StoredTime", f.started_at as "started_at: StoredTime",
                           f.processed_at as "processed_at: StoredTime", f.storage_bucket, f.storage_key_report,
                           f.storage_key_raw_llm_output,
                           (select count(*) from job_answers a where a.job_id = j.id and a.life = j.life) as "answers!"
                      from processing_jobs j
                      join files f on f.id = j.file_id
                     where j.id = $1 or j.file_id = $1
                    "#,
                    named
                )
                .fetch_optional(&mut *db)
                .await?;
                let Some(job) = job else { return Ok(None) };
                let history = sqlx::query!(
                    r#"
                    select a.lease_token, a.life, a.attempt, a.outcome, a.code, a.step, a.message,
                           a.started_at as "started_at: StoredTime",
                           (extract(epoch from a.ended_at) - extract(epoch from a.started_at))::float8 as "seconds!",
                           a.guest_micros,
                           a.tokens_in, a.tokens_out, a.guest_digest,
                           r.prompt_version || '@' || r.revision as release, a.worker, a.report_key
                      from job_attempts a
                      left join guest_releases r on r.digest = a.guest_digest
                     where a.job_id = $1
                     order by a.lease_token
                    "#,
                    job.id
                )
                .fetch_all(db)
                .await?;
                Ok(Some((job, history)))
            })
            .await?;
        let Some((job, history)) = found else { return Ok(None) };
        let folder = |token: i64| {
            let lease = Lease { job: JobId(job.id), token: LeaseToken(token) };
            run_folder(UserId(job.user_id), FileId(job.file_id), lease)
        };
        let history = history.into_iter().map(|row| JobAttempt {
            run_folder: folder(row.lease_token),
            lease_token: row.lease_token,
            life: row.life,
            attempt: row.attempt,
            outcome: row.outcome,
            code: row.code,
            step: row.step,
            message: row.message,
            started_at: row.started_at,
            seconds: row.seconds,
            guest_micros: row.guest_micros,
            tokens_in: row.tokens_in,
            tokens_out: row.tokens_out,
            guest_digest: row.guest_digest,
            release: row.release,
            worker: row.worker,
            report_key: row.report_key,
        });
        let history = history.collect();
        Ok(Some(JobDetail {
            job: JobRow {
                job_id: job.id,
                file_id: job.file_id,
                status: job.status,
                cancel_requested: job.cancel_requested,
                channel: job.channel,
                priority: job.priority,
                life: job.life,
                attempts: job.attempts,
                max_attempts: job.max_attempts,
                snoozes: job.snoozes,
                next_run_at: job.next_run_at,
                locked_by: job.locked_by,
                code: job.last_error_code,
                step: job.last_error_step,
                updated_at: job.updated_at,
            },
            message: job.last_error_message,
            prompt_version: job.prompt_version,
            guest_digest: job.guest_digest,
            locked_at: job.locked_at,
            heartbeat_at: job.heartbeat_at,
            answers: job.answers,
            queued_at: job.queued_at,
            started_at: job.started_at,
            processed_at: job.processed_at,
            bucket: job.storage_bucket,
            report_key: job.storage_key_report,
            raw_output_key: job.storage_key_raw_llm_output,
            history,
        }))
    }
}
