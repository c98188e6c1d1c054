//! The stage: database, bucket and worker, each a real one.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use assay_dev::{Postgres, PostgresOptions};
use assay_tests::{AssayProcess, Signal};
use bytes::Bytes;
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Store;

/// The guest that runs where a bench names no other.
pub const VERSION: &str = "meeting-v1";
const DATABASE: &str = "bench";
const BUCKET: &str = "bench";
/// How often the queue is looked at; far apart, because looking costs the database something, too.
pub const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A run that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// Database and bucket, shared by all runs.
pub struct Stage {
    postgres: Postgres,
    /// The bucket, past the protocol.
    pub objects: Store,
    pub pool: PgPool,
}

impl Stage {
    /// Starts everything but worker and model.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn set_up() -> anyhow::Result<Self> {
        let options = PostgresOptions { durable: true, ..PostgresOptions::throwaway() }
            .setting("synchronous_commit", "on")
            .setting("shared_buffers", "256MB")
            .setting("max_wal_size", "4GB");
        let postgres = Postgres::start(options).await?;
        postgres.ensure_database(DATABASE).await?;
        let objects = Store::start().await?;
        let pool = PgPool::connect(&postgres.url(DATABASE)).await?;
        let stage = Self { postgres, objects, pool };
        let mut migrate = AssayProcess::spawn(&["migrate"], &stage.env("http://127.0.0.1:9/v1", 1));
        ensure!(migrate.wait().await.success(), "migrate: {:?}", migrate.stderr());
        Ok(stage)
    }

    /// Returns where the database is.
    pub fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// Returns the environment of a worker with the reference guests.
    pub fn env(&self, model: &str, slots: usize) -> BTreeMap<String, String> {
        let keys = self.objects.keys();
        let values = [
            ("DATABASE_URL", self.database_url()),
            ("S3_ENDPOINT", self.objects.endpoint()),
            ("S3_REGION", "us-east-1".to_owned()),
            ("S3_BUCKET", BUCKET.to_owned()),
            ("S3_ACCESS_KEY_ID", keys.access.clone()),
            ("S3_SECRET_ACCESS_KEY", keys.secret.clone()),
            ("LLM_PROVIDER", "openai".to_owned()),
            ("LLM_BASE_URL", model.to_owned()),
            ("LLM_MODEL", "bench".to_owned()),
            ("REPORT_PROMPT_VERSION", VERSION.to_owned()),
            ("GUEST_DIR", assay_tests::guests().display().to_string()),
            ("WORKER_CONCURRENCY", slots.to_string()),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Empties the tables of files and jobs, so that what ran before costs nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_files(&self) -> anyhow::Result<()> {
        sqlx::raw_sql("truncate files, processing_jobs, job_attempts, job_answers cascade; checkpoint")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Returns files whose objects are there, with nothing enqueued.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_files(&self, count: usize, transcript: impl Fn(Uuid) -> Bytes) -> anyhow::Result<Vec<Uuid>> {
        let ids: Vec<Uuid> = (0..count).map(|_| Uuid::new_v4()).collect();
        let user = Uuid::nil();
        let mut sizes = Vec::with_capacity(count);
        for id in &ids {
            let transcript = transcript(*id);
            sizes.push(transcript.len() as i64);
            self.objects.put(format!("users/{user}/files/{id}/original.txt"), transcript);
        }
        sqlx::query(
            "insert into files (id, user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes)
             select id, $2, $3, 'users/' || $2 || '/files/' || id || '/original.txt', 'txt', 'text/plain', size
               from unnest($1::uuid[], $4::bigint[]) as added (id, size)",
        )
        .bind(&ids)
        .bind(user)
        .bind(BUCKET)
        .bind(&sizes)
        .execute(&self.pool)
        .await?;
        Ok(ids)
    }

    /// Waits until no job waits or runs, and returns how many files have failed so far. `every` is the time between two looks.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn wait_until_quiet(&self, every: Duration) -> anyhow::Result<i64> {
        let quiet = async {
            loop {
                let live: i64 =
                    sqlx::query_scalar("select count(*) from processing_jobs where status in ('queued', 'processing')")
                        .fetch_one(&self.pool)
                        .await?;
                if live == 0 {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(every).await;
            }
        };
        tokio::time::timeout(PATIENCE, quiet).await.context("the jobs were not done in time")??;
        Ok(sqlx::query_scalar("select count(*) from files where status = 'failed'").fetch_one(&self.pool).await?)
    }
}

/// Ends a worker as an orchestrator does.
///
/// # Errors
/// If it does not end well.
pub async fn stop(mut worker: AssayProcess) -> anyhow::Result<()> {
    worker.signal(Signal::TERM);
    ensure!(worker.wait().await.success(), "the worker: {:?}", worker.stderr());
    Ok(())
}
