//! The program that had the queue before Assay came: its schema, its producers and its worker, statement by statement.
//!
//! It knows neither lease tokens nor lives. It claims by setting `locked_by`, takes over what has not beaten for `lock_ttl_seconds`, and
//! changes only rows whose `locked_by` is its own name.

use sqlx::{Connection, PgConnection, types::Uuid};

/// Its tables: what `assay migrate` finds.
pub const SCHEMA: &str = include_str!("schema.sql");

/// A job in the hands of an [`OldWorker`].
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OldJob {
    pub id: Uuid,
    pub file_id: Uuid,
    pub storage_key_original: String,
    /// The attempt, from 1.
    pub attempts: i32,
}

/// One worker of that program.
#[derive(Debug)]
pub struct OldWorker {
    name: String,
    db: PgConnection,
}

impl OldWorker {
    /// Connects.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn connect(url: &str, name: &str) -> sqlx::Result<Self> {
        Ok(Self { name: name.to_owned(), db: PgConnection::connect(url).await? })
    }

    /// Takes one job that is due, or whose holder has not beaten for its `lock_ttl_seconds`.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn claim(&mut self) -> sqlx::Result<Option<OldJob>> {
        let mut transaction = self.db.begin().await?;
        let job: Option<OldJob> = sqlx::query_as(
            "UPDATE processing_jobs j
                SET status = 'processing', attempts = least(attempts + 1, max_attempts), locked_by = $1,
                    locked_at = now(), heartbeat_at = now(), updated_at = now()
               FROM files f
              WHERE f.id = j.file_id
                AND j.id = (SELECT id FROM processing_jobs
                             WHERE (status = 'queued' AND next_run_at <= now())
                                OR (status = 'processing' AND heartbeat_at < now() - make_interval(secs => lock_ttl_seconds))
                             ORDER BY next_run_at
                               FOR UPDATE SKIP LOCKED LIMIT 1)
             RETURNING j.id, j.file_id, f.storage_key_original, j.attempts",
        )
        .bind(&self.name)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(job) = &job {
            sqlx::query(
                "UPDATE files SET status = 'processing', started_at = now(), processing_attempts = $2, updated_at = now() WHERE id = $1",
            )
            .bind(job.file_id)
            .bind(job.attempts)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(job)
    }

    /// Says that it still works on the job; `false` where it has lost it.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn beat(&mut self, job: &OldJob) -> sqlx::Result<bool> {
        let done = sqlx::query("UPDATE processing_jobs SET heartbeat_at = now() WHERE id = $1 AND locked_by = $2")
            .bind(job.id)
            .bind(&self.name)
            .execute(&mut self.db)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Puts the job back for another try in `seconds`; `false` where it has lost it.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn retry(&mut self, job: &OldJob, seconds: f64) -> sqlx::Result<bool> {
        self.leave(job, "queued", Some("upstream"), seconds, None).await
    }

    /// Ends the job with a report; `false` where it has lost it.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn succeed(&mut self, job: &OldJob, report: &str) -> sqlx::Result<bool> {
        self.leave(job, "succeeded", None, 0.0, Some(report)).await
    }

    /// Ends the job without one; `false` where it has lost it.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn fail(&mut self, job: &OldJob, code: &str) -> sqlx::Result<bool> {
        self.leave(job, "failed", Some(code), 0.0, None).await
    }

    async fn leave(
        &mut self,
        job: &OldJob,
        status: &str,
        code: Option<&str>,
        seconds: f64,
        report: Option<&str>,
    ) -> sqlx::Result<bool> {
        let mut transaction = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE processing_jobs
                SET status = $3, locked_by = NULL, locked_at = NULL, heartbeat_at = NULL, last_error_code = $4,
                    last_error_message = $4, next_run_at = now() + make_interval(secs => $5), updated_at = now()
              WHERE id = $1 AND locked_by = $2",
        )
        .bind(job.id)
        .bind(&self.name)
        .bind(status)
        .bind(code)
        .bind(seconds)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        sqlx::query(
            "UPDATE files
                SET status = $2, error_code = $3, error_message = $3, storage_key_report = coalesce($4, storage_key_report),
                    prompt_version = CASE WHEN $4 IS NULL THEN prompt_version ELSE 'old' END,
                    schema_version = CASE WHEN $4 IS NULL THEN schema_version ELSE 'report.v1' END,
                    processed_at = CASE WHEN $2 <> 'queued' THEN now() END, updated_at = now()
              WHERE id = $1",
        )
        .bind(job.file_id)
        .bind(status)
        .bind((status == "failed").then_some(code).flatten())
        .bind(report)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }
}
