//! The sweep of the bucket: which objects the database refers to, and which worker sweeps now.

use std::time::Duration;

use assay_core::ids::{FileId, JobId};
use uuid::Uuid;

use crate::{database::Database, error::DbError};

/// An object, with the ids that its key contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectQuery {
    pub key: String,
    pub file: FileId,
    pub job: Option<JobId>,
    /// The folder of a run, with its slash: a reference to any key in it keeps the whole folder.
    pub folder: Option<String>,
}

/// What the database says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct References {
    /// Its file's job, or the job in its key, is queued or running.
    pub live: bool,
    /// A row refers to it.
    pub referenced: bool,
}

impl Database {
    /// Returns what the database says of each object, in the order given. A row's bucket does not matter: its objects
    /// stay in every bucket.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn references(&self, objects: &[ObjectQuery]) -> Result<Vec<References>, DbError> {
        let keys: Vec<_> = objects.iter().map(|object| object.key.clone()).collect();
        let files: Vec<_> = objects.iter().map(|object| object.file.0).collect();
        let jobs: Vec<_> = objects.iter().map(|object| object.job.map(|job| job.0)).collect();
        let folders: Vec<_> = objects.iter().map(|object| object.folder.clone()).collect();
        let references = self
            .repeat(async |db| {
                sqlx::query_as!(
                    References,
                    r#"
                    select exists (select from processing_jobs j
                                    where j.file_id = o.file and j.status in ('queued', 'processing'))
                        or exists (select from processing_jobs j
                                    where j.id = o.job and j.status in ('queued', 'processing')) as "live!",
                           exists (select from files f where f.storage_key_original = o.key)
                        or exists (select from files f
                                    where f.id = o.file
                                      and (f.storage_key_report = o.key or f.storage_key_raw_llm_output = o.key
                                           or starts_with(f.storage_key_report, o.folder)
                                           or starts_with(f.storage_key_raw_llm_output, o.folder)))
                        or exists (select from job_answers a where a.job_id = o.job and a.key = o.key)
                        or exists (select from job_attempts a
                                    where a.job_id = o.job
                                      and (a.report_key = o.key or starts_with(a.report_key, o.folder)))
                               as "referenced!"
                      from unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[])
                           with ordinality as o (key, file, job, folder, place)
                     order by o.place
                    "#,
                    &keys,
                    &files,
                    &jobs as &[Option<Uuid>],
                    &folders as &[Option<String>],
                )
                .fetch_all(db)
                .await
            })
            .await?;
        // A missing row must not be taken for an object without references.
        if references.len() != objects.len() {
            return Err(DbError::Row("the answer misses an object"));
        }
        Ok(references)
    }

    /// Returns the id of this database, which the marker of its bucket holds.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn installation(&self) -> Result<Uuid, DbError> {
        self.repeat(async |db| sqlx::query_scalar!("select id from installation").fetch_one(db).await).await
    }

    /// Begins a sweep by `worker`, for `lease`. Returns false if the last one ended less than `every` ago, or another
    /// worker is sweeping.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn begin_sweep(&self, worker: &str, every: Duration, lease: Duration) -> Result<bool, DbError> {
        let done = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    update installation
                       set sweeping_by = $1, sweeping_until = now() + make_interval(secs => $3)
                     where (swept_at is null or swept_at < now() - make_interval(secs => $2))
                       and (sweeping_until is null or sweeping_until < now())
                    "#,
                    worker,
                    every.as_secs_f64(),
                    lease.as_secs_f64(),
                )
                .execute(db)
                .await
            })
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Renews the sweep of `worker` for another `lease`. Returns false if it has lost the sweep.
    ///
    /// # Errors
    /// [`DbError`]; the lease may or may not have been renewed.
    pub async fn renew_sweep(&self, worker: &str, lease: Duration) -> Result<bool, DbError> {
        let done = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    update installation set sweeping_until = now() + make_interval(secs => $2)
                     where sweeping_by = $1 and sweeping_until > now()
                    "#,
                    worker,
                    lease.as_secs_f64(),
                )
                .execute(db)
                .await
            })
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends the sweep of `worker`; the next one is due after the period.
    ///
    /// # Errors
    /// [`DbError`]; then the next one is due when the lease expires.
    pub async fn end_sweep(&self, worker: &str) -> Result<(), DbError> {
        self.repeat(async |db| {
            sqlx::query!(
                r#"
                update installation set sweeping_by = null, sweeping_until = null, swept_at = now()
                 where sweeping_by = $1
                "#,
                worker,
            )
            .execute(db)
            .await
        })
        .await?;
        Ok(())
    }
}
