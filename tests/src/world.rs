//! A database, a bucket and a model of a test's own, the environment for a worker that uses them, and the rows it leaves.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use sqlx::{
    FromRow,
    types::{JsonValue, Uuid},
};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::{DEADLINE, ScriptedModel, TestDatabase, TestObjects, process::built};

/// How often a row is looked at while a test waits for it. Rows change in other processes and without a notification that a test could
/// wait for, so this is the one place that polls; tests themselves never sleep.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Everything that a worker needs around it.
#[derive(Debug)]
pub struct World {
    pub database: TestDatabase,
    pub objects: TestObjects,
    pub model: ScriptedModel,
    /// As [`compiled`] says.
    cache: PathBuf,
    folder: TempDir,
}

/// A row of `files`.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are explained where the migrations make them")]
pub struct FileRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub storage_bucket: String,
    pub storage_key_original: String,
    pub original_filename: String,
    pub extension: String,
    pub mime_type: String,
    pub size_bytes: i64,
    pub attributes: JsonValue,
    pub status: String,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub storage_key_report: Option<String>,
    pub storage_key_raw_llm_output: Option<String>,
    pub prompt_version: Option<String>,
    pub schema_version: Option<String>,
    pub guest_digest: Option<String>,
    pub processing_attempts: i32,
    pub queued_at: Option<OffsetDateTime>,
    pub started_at: Option<OffsetDateTime>,
    pub processed_at: Option<OffsetDateTime>,
}

/// A row of `processing_jobs`, with the seconds until its next run by the database's clock.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are explained where the migrations make them")]
pub struct JobRow {
    pub id: Uuid,
    pub file_id: Uuid,
    pub status: String,
    pub channel: String,
    pub priority: i32,
    pub attempts: i32,
    pub max_attempts: i32,
    pub next_run_at: OffsetDateTime,
    /// Negative where it is due.
    pub seconds_until_next_run: f64,
    pub locked_by: Option<String>,
    pub locked_at: Option<OffsetDateTime>,
    pub heartbeat_at: Option<OffsetDateTime>,
    pub lock_ttl_seconds: i32,
    pub lease_token: i64,
    pub prompt_version: Option<String>,
    pub guest_digest: Option<String>,
    pub snoozes: i32,
    pub life: i32,
    pub last_error_code: Option<String>,
    pub last_error_step: Option<String>,
    pub last_error_message: Option<String>,
}

/// A row of `job_attempts`.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are explained where the migrations make them")]
pub struct Attempt {
    pub lease_token: i64,
    pub life: i32,
    pub attempt: i32,
    pub worker: String,
    pub outcome: String,
    pub code: Option<String>,
    pub step: Option<String>,
    pub message: Option<String>,
    pub tokens_in: i64,
    pub tokens_out: i64,
}

/// Returns the folder of the built guests: `ASSAY_TEST_GUESTS`, else `guest/dist` of this repository.
///
/// # Panics
/// The folder holds no guest.
#[expect(clippy::disallowed_methods, reason = "a variable may name other guests for a run of the tests")]
pub fn guests() -> PathBuf {
    let folder = std::env::var_os("ASSAY_TEST_GUESTS").map_or_else(|| repository().join("guest/dist"), PathBuf::from);
    let built = std::fs::read_dir(&folder)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().extension().is_some_and(|ext| ext == "wasm")));
    assert!(built, "{} holds no guest: run `cargo xtask guests` first", folder.display());
    folder
}

/// Returns where compiled guests lie. All tests of a machine share them: compiling takes seconds.
pub fn compiled() -> PathBuf {
    built().join("assay-test-guests")
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository")
}

impl World {
    /// Starts everything but a worker.
    pub async fn start() -> Self {
        let (database, objects, model) =
            tokio::join!(TestDatabase::new(), TestObjects::start(), ScriptedModel::start());
        let cache = compiled();
        Self { database, objects, model, cache, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Returns the environment for a worker, with times short enough for a test. A test changes what it is about.
    pub fn env(&self) -> BTreeMap<String, String> {
        let keys = self.objects.credentials();
        let values = [
            ("DATABASE_URL", self.database.url().to_owned()),
            ("S3_ENDPOINT", self.objects.endpoint()),
            ("S3_REGION", "us-east-1".to_owned()),
            ("S3_BUCKET", self.objects.bucket_name().to_owned()),
            ("S3_ACCESS_KEY_ID", keys.access.clone()),
            ("S3_SECRET_ACCESS_KEY", keys.secret.clone()),
            ("LLM_PROVIDER", "openai".to_owned()),
            ("LLM_BASE_URL", self.model.base_url()),
            ("LLM_MODEL", "scripted".to_owned()),
            ("LLM_API_KEY", "test-key".to_owned()),
            ("WORKER_POLL_MS", "100".to_owned()),
            ("BREAKER_PROBE_MS", "100".to_owned()),
            ("WORKER_CONCURRENCY", "4".to_owned()),
            ("GUEST_DIR", guests().display().to_string()),
            ("GUEST_CACHE_DIR", self.cache.display().to_string()),
            // Any free port: several workers run side by side.
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns a folder for files of the test, removed with the world.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stores a transcript of plain text and enqueues it.
    pub async fn enqueue(&self, transcript: impl Into<Bytes>) -> Uuid {
        let id = self.upload("txt", transcript).await;
        self.enqueue_file(id, None).await;
        id
    }

    /// Stores a transcript (`txt` or `vtt`) with its row in `files`, and enqueues nothing.
    pub async fn upload(&self, extension: &str, transcript: impl Into<Bytes>) -> Uuid {
        let bytes: Bytes = transcript.into();
        let size = bytes.len();
        let id = self.row(extension, size).await;
        self.objects.put(&self.file(id).await.storage_key_original, bytes).await;
        id
    }

    /// Makes a row in `files` whose object is missing.
    pub async fn row(&self, extension: &str, size: usize) -> Uuid {
        let (id, user) = (Uuid::new_v4(), Uuid::new_v4());
        let mime_type = if extension == "vtt" { "text/vtt" } else { "text/plain" };
        sqlx::query(
            "INSERT INTO files (id, user_id, storage_bucket, storage_key_original, original_filename, extension, mime_type, size_bytes)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id)
        .bind(user)
        .bind(self.objects.bucket_name())
        .bind(format!("users/{user}/files/{id}/original.{extension}"))
        .bind(format!("meeting.{extension}"))
        .bind(extension)
        .bind(mime_type)
        .bind(i64::try_from(size).expect("a size"))
        .execute(self.database.pool())
        .await
        .expect("a row in files");
        id
    }

    /// Enqueues a file as an application does; returns the job's id.
    pub async fn enqueue_file(&self, file: Uuid, prompt_version: Option<&str>) -> Uuid {
        sqlx::query_scalar("SELECT assay_enqueue($1, $2)")
            .bind(file)
            .bind(prompt_version)
            .fetch_one(self.database.pool())
            .await
            .expect("a job")
    }

    /// Returns the file's row.
    pub async fn file(&self, id: Uuid) -> FileRow {
        sqlx::query_as("SELECT * FROM files WHERE id = $1")
            .bind(id)
            .fetch_one(self.database.pool())
            .await
            .expect("a row in files")
    }

    /// Returns the row of the file's job.
    pub async fn job(&self, file: Uuid) -> JobRow {
        sqlx::query_as(
            "SELECT *, extract(epoch FROM next_run_at - clock_timestamp())::float8 AS seconds_until_next_run FROM processing_jobs WHERE file_id = $1",
        )
        .bind(file)
        .fetch_one(self.database.pool())
        .await
        .expect("a row in processing_jobs")
    }

    /// Returns what happened to the file's job so far, the first claim first.
    pub async fn attempts(&self, file: Uuid) -> Vec<Attempt> {
        sqlx::query_as("SELECT a.* FROM job_attempts a JOIN processing_jobs j ON j.id = a.job_id WHERE j.file_id = $1 ORDER BY a.lease_token")
            .bind(file)
            .fetch_all(self.database.pool())
            .await
            .expect("rows of job_attempts")
    }

    /// Waits until the file has this status, and returns its row.
    ///
    /// # Panics
    /// At the deadline, with the rows as they are then.
    pub async fn wait_for_status(&self, file: Uuid, status: &str) -> FileRow {
        self.wait_for_file(file, |row| row.status == status).await
    }

    /// Waits until the file's row is as wanted, and returns it.
    ///
    /// # Panics
    /// At the deadline, with the rows as they are then.
    pub async fn wait_for_file(&self, file: Uuid, wanted: impl Fn(&FileRow) -> bool) -> FileRow {
        let looking = async {
            loop {
                let row = self.file(file).await;
                if wanted(&row) {
                    return row;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(DEADLINE, looking).await {
            Ok(row) => row,
            Err(_) => panic!(
                "the file did not become as wanted: {:?} {:?} {:?}",
                self.file(file).await,
                self.job(file).await,
                self.attempts(file).await
            ),
        }
    }

    /// Waits until the row of the file's job is as wanted, and returns it.
    ///
    /// # Panics
    /// At the deadline, with the rows as they are then.
    pub async fn wait_for_job(&self, file: Uuid, wanted: impl Fn(&JobRow) -> bool) -> JobRow {
        let looking = async {
            loop {
                let row = self.job(file).await;
                if wanted(&row) {
                    return row;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(DEADLINE, looking).await {
            Ok(row) => row,
            Err(_) => {
                panic!("the job did not become as wanted: {:?} {:?}", self.job(file).await, self.attempts(file).await)
            }
        }
    }

    /// Waits until `reached` says so: for what is neither a file's row nor a job's.
    ///
    /// # Panics
    /// At the deadline, with `what` was waited for.
    pub async fn wait_until(&self, what: &str, reached: impl AsyncFn() -> bool) {
        let looking = async {
            while !reached().await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        crate::within(what, looking).await;
    }

    /// Makes the file's job due now, in place of waiting for its backoff.
    pub async fn make_due(&self, file: Uuid) {
        sqlx::query("UPDATE processing_jobs SET next_run_at = now() WHERE file_id = $1 AND status = 'queued'")
            .bind(file)
            .execute(self.database.pool())
            .await
            .expect("an update of the job");
        sqlx::query("SELECT pg_notify('assay_jobs', '')").execute(self.database.pool()).await.expect("a notification");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_enqueued_transcript_has_a_file_a_job_and_an_object() {
        let world = World::start().await;
        let id = world.enqueue("Ana: Good morning, everybody.").await;
        let file = world.wait_for_status(id, "queued").await;
        assert_eq!(world.objects.list(""), [file.storage_key_original]);
        let job = world.job(id).await;
        assert_eq!((job.status.as_str(), job.attempts), ("queued", 0));
        assert!(job.seconds_until_next_run <= 0.0);
        assert!(world.attempts(id).await.is_empty());
    }
}
