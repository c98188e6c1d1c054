//! Files: submitting them, and reading them with their jobs.

use assay_core::ids::{FileId, JobId, UserId};
use serde::Serialize;
use sqlx::{Connection, PgConnection, types::Json};
use uuid::Uuid;

use crate::{
    database::Database,
    error::DbError,
    lenient::{Lenient, UnreadableColumn},
    stored_time::StoredTime,
};

/// A file to submit. Its original is in the object store already.
#[derive(Debug)]
pub struct NewFile<'a> {
    /// The caller chooses it, because the key of the original contains it.
    pub id: FileId,
    pub user: UserId,
    /// Of all its objects.
    pub bucket: &'a str,
    pub original_key: &'a str,
    /// Content: never logged.
    pub filename: &'a str,
    /// `txt` or `vtt`.
    pub extension: &'a str,
    /// IANA media type.
    pub mime_type: &'a str,
    /// Bytes of the original.
    pub size_bytes: i64,
    /// The channel's release runs if none is named.
    pub prompt_version: Option<&'a str>,
}

/// A file, its job and its history, as `assay status FILE-ID` shows them.
#[derive(Clone, Debug, Serialize)]
pub struct FileStatus {
    pub file_id: Uuid,
    pub filename: String,
    pub status: String,
    pub error_code: Option<String>,
    /// Of all its objects.
    pub bucket: String,
    pub report_key: Option<String>,
    /// Of the answers of a failed job.
    pub raw_output_key: Option<String>,
    pub prompt_version: Option<String>,
    pub schema_version: Option<String>,
    /// Of the guest that ran, lower hex.
    pub guest_digest: Option<String>,
    /// Begun, the running one included.
    pub attempts: i32,
    pub queued_at: Option<StoredTime>,
    pub processed_at: Option<StoredTime>,
    /// From enqueueing to the end.
    pub seconds: Option<f64>,
    pub job: Option<JobStatus>,
    /// Ended claims, the oldest first.
    pub history: Vec<AttemptRow>,
    /// Columns whose value cannot be read; their fields are empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableColumn>,
}

impl FileStatus {
    /// The rows of [`Self::history`].
    pub const HISTORY: UnreadableColumn = UnreadableColumn("job_attempts");
}

/// The job of a file.
#[derive(Clone, Debug, Serialize)]
pub struct JobStatus {
    pub job_id: Uuid,
    pub status: String,
    pub channel: String,
    /// Grows each time the job is requeued.
    pub life: i32,
    pub max_attempts: i32,
    pub snoozes: i32,
    pub next_run_at: StoredTime,
    /// The worker that runs it.
    pub locked_by: Option<String>,
    /// A code.
    pub last_error: Option<String>,
}

/// One claim that ended.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub struct AttemptRow {
    pub lease_token: i64,
    /// Its number in its life, from 1.
    pub attempt: i32,
    pub life: i32,
    pub worker: String,
    pub outcome: String,
    pub code: Option<String>,
    pub step: Option<String>,
    /// With its causes, without content.
    pub message: Option<String>,
    /// None if an instant of the row is infinite.
    pub seconds: Option<f64>,
    pub tokens_in: i64,
    pub tokens_out: i64,
    /// Of the report that it made; the file may have a newer one.
    pub report_key: Option<String>,
}

/// The jobs of one status.
#[derive(Clone, Debug, Serialize)]
pub struct QueueDepth {
    pub status: String,
    pub jobs: i64,
    /// Of those, the ones that can be claimed now.
    pub due: i64,
    pub oldest_due_seconds: Option<f64>,
}

impl Database {
    /// Inserts the file and enqueues its job in one transaction, so that there is never one without the other.
    ///
    /// # Errors
    /// [`DbError`]; if [`DbError::is_ambiguous`], [`Self::file_status`] shows whether it was committed.
    pub async fn submit(&self, file: &NewFile<'_>) -> Result<JobId, DbError> {
        let insert_and_enqueue = async |db: &mut PgConnection| {
            let mut transaction = db.begin().await?;
            sqlx::query!(
                r#"
            insert into files (id, user_id, storage_bucket, storage_key_original, original_filename, extension,
                               mime_type, size_bytes)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            "#,
                file.id.0,
                file.user.0,
                file.bucket,
                file.original_key,
                file.filename,
                file.extension,
                file.mime_type,
                file.size_bytes
            )
            .execute(&mut *transaction)
            .await?;
            let job = sqlx::query_scalar!(
                r#"select assay_enqueue($1, prompt_version => $2) as "job!""#,
                file.id.0,
                file.prompt_version
            )
            .fetch_one(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(job)
        };
        let job = self.repeat(insert_and_enqueue).await?;
        Ok(JobId(job))
    }

    /// Returns a file with its job and history.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn file_status(&self, file: FileId) -> Result<Option<FileStatus>, DbError> {
        let row = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    select f.id, f.original_filename, f.status, f.error_code, f.storage_bucket, f.storage_key_report,
                           f.storage_key_raw_llm_output, f.prompt_version, f.schema_version, f.guest_digest,
                           f.processing_attempts, f.queued_at as "queued_at: StoredTime",
                           f.processed_at as "processed_at: StoredTime",
                           (extract(epoch from f.processed_at) - extract(epoch from f.queued_at))::float8 as seconds,
                           j.id as "job_id?", j.status as "job_status?", j.channel as "channel?", j.life as "life?",
                           j.max_attempts as "max_attempts?", j.snoozes as "snoozes?", j.next_run_at as "next_run_at?: StoredTime",
                           j.locked_by, j.last_error_code,
                           (select coalesce(json_agg(json_build_object(
                                       'lease_token', a.lease_token, 'attempt', a.attempt, 'life', a.life,
                                       'worker', a.worker, 'outcome', a.outcome, 'code', a.code, 'step', a.step,
                                       'message', a.message,
                                       -- Null where an instant is infinite: JSON has no such number.
                                       'seconds', case when isfinite(a.ended_at) and isfinite(a.started_at)
                                                  -- Apart, because the difference of two instants may leave
                                                  -- the range of intervals.
                                                  then (extract(epoch from a.ended_at)
                                                        - extract(epoch from a.started_at))::float8 end,
                                       'tokens_in', a.tokens_in, 'tokens_out', a.tokens_out,
                                       'report_key', a.report_key)
                                       order by a.lease_token), '[]')
                              from job_attempts a where a.job_id = j.id) as "history!: Lenient<Json<Vec<AttemptRow>>>"
                      from files f
                      left join processing_jobs j on j.file_id = f.id
                     where f.id = $1
                    "#,
                    file.0
                )
                .fetch_optional(db)
                .await
            })
            .await?;
        let mut unreadable = Vec::new();
        Ok(row.map(|row| FileStatus {
            file_id: row.id,
            filename: row.original_filename,
            status: row.status,
            error_code: row.error_code,
            bucket: row.storage_bucket,
            report_key: row.storage_key_report,
            raw_output_key: row.storage_key_raw_llm_output,
            prompt_version: row.prompt_version,
            schema_version: row.schema_version,
            guest_digest: row.guest_digest,
            attempts: row.processing_attempts,
            queued_at: row.queued_at,
            processed_at: row.processed_at,
            seconds: row.seconds,
            job: row.job_id.zip(row.next_run_at).map(|(job_id, next_run_at)| JobStatus {
                job_id,
                next_run_at,
                status: row.job_status.unwrap_or_default(),
                channel: row.channel.unwrap_or_default(),
                life: row.life.unwrap_or_default(),
                max_attempts: row.max_attempts.unwrap_or_default(),
                snoozes: row.snoozes.unwrap_or_default(),
                locked_by: row.locked_by,
                last_error: row.last_error_code,
            }),
            history: row.history.or_default(FileStatus::HISTORY, &mut unreadable).0,
            unreadable,
        }))
    }

    /// Counts jobs by status.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn queue_depth(&self) -> Result<Vec<QueueDepth>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                QueueDepth,
                r#"
                select status, count(*) as "jobs!",
                       count(*) filter (where status = 'queued' and next_run_at <= now()) as "due!",
                       (extract(epoch from now()) - extract(epoch from min(next_run_at)
                           filter (where status = 'queued' and next_run_at <= now())))::float8 as oldest_due_seconds
                  from processing_jobs
                 group by status
                 order by status
                "#
            )
            .fetch_all(db)
            .await
        })
        .await
    }
}
