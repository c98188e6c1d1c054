//! What a sweep asks: whose database this is, which objects rows point at, and whose turn it is.

use std::time::Duration;

use assay_core::ids::{FileId, JobId};
use uuid::Uuid;

use crate::{Database, DbError};

/// An object, and where rows could point at it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its key.
    pub key: String,
    /// The file in its key.
    pub file: FileId,
    /// The job in its key.
    pub job: Option<JobId>,
    /// The folder of a run, with its slash: what points into it points at all of it.
    pub folder: Option<String>,
}

/// What rows say of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointing {
    /// Its file's job, or the job in its key, waits or runs.
    pub live: bool,
    /// A row points at it.
    pub pointed: bool,
}

impl Database {
    /// What rows say of each object, in the order of asking. Whatever bucket a row names: what it points at stays in every one.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn pointing(&self, asked: &[Asked]) -> Result<Vec<Pointing>, DbError> {
        let keys: Vec<_> = asked.iter().map(|one| one.key.clone()).collect();
        let files: Vec<_> = asked.iter().map(|one| one.file.0).collect();
        let jobs: Vec<_> = asked.iter().map(|one| one.job.map(|job| job.0)).collect();
        let folders: Vec<_> = asked.iter().map(|one| one.folder.clone()).collect();
        let told = self
            .run(async |db| {
                sqlx::query_as!(
                    Pointing,
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
                                      and (a.report_key = o.key or starts_with(a.report_key, o.folder))) as "pointed!"
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
        // What was not told of must not be taken for what nothing points at.
        if told.len() != asked.len() {
            return Err(DbError::Row("not every object was told of"));
        }
        Ok(told)
    }

    /// The name of this database: what the marker of its bucket holds.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn installation(&self) -> Result<Uuid, DbError> {
        self.run(async |db| sqlx::query_scalar!("select id from installation").fetch_one(db).await).await
    }

    /// Whether `worker` is to sweep now: the last sweep ended `every` ago, and nobody else is at it. It is its own for `lease`.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn begin_sweep(&self, worker: &str, every: Duration, lease: Duration) -> Result<bool, DbError> {
        let done = self
            .run(async |db| {
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

    /// Keeps the sweep of `worker` its own for another `lease`; false where it is not its own any more.
    ///
    /// # Errors
    /// [`DbError`]: then nobody knows, and the time runs on.
    pub async fn renew_sweep(&self, worker: &str, lease: Duration) -> Result<bool, DbError> {
        let done = self
            .run(async |db| {
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

    /// Ends the sweep of `worker`: the next one is due in its time.
    ///
    /// # Errors
    /// [`DbError`]; then the next one is due when the lease is over.
    pub async fn end_sweep(&self, worker: &str) -> Result<(), DbError> {
        self.run(async |db| {
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
