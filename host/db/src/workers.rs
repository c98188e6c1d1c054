//! The fleet, as its beats tell it.

use assay_core::breaker::OpenBreaker;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use time::OffsetDateTime;

use crate::{Database, DbError};

/// A release that a worker has loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadedRelease {
    /// What its `describe` says; nothing where it does not load.
    pub prompt_version: String,
    /// What its `describe` says.
    pub schema_version: String,
    /// sha256 of its bytes, lower hex.
    pub digest: String,
    /// Whether jobs that name no prompt version get it there, in channels without a release of their own.
    pub is_default: bool,
    /// The channels that it runs there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Why it does not load there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// One worker.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerRow {
    /// Host, process and start.
    pub id: String,
    /// Version of the binary.
    pub version: String,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Seconds since its last beat.
    pub silent_seconds: f64,
    /// How many jobs it runs at once.
    pub slots: i32,
    /// How many it has in hand.
    pub busy: i64,
    /// What it serves.
    pub releases: Vec<LoadedRelease>,
    /// What it waits for, as of its last beat.
    pub breakers: Vec<OpenBreaker>,
}

impl Database {
    /// Workers that beat within the last minute and have not stopped.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn live_workers(&self) -> Result<Vec<WorkerRow>, DbError> {
        let rows = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                select w.id, w.version, w.started_at, w.slots, w.releases as "releases: Json<Vec<LoadedRelease>>",
                       w.breakers as "breakers: Json<Vec<OpenBreaker>>",
                       extract(epoch from now() - w.beat_at)::float8 as "silent!",
                       (select count(*) from processing_jobs j
                         where j.status = 'processing' and j.locked_by = w.id) as "busy!"
                  from workers w
                 where w.stopped_at is null and w.beat_at > now() - interval '1 minute'
                 order by w.id
                "#
                )
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| WorkerRow {
                id: row.id,
                version: row.version,
                started_at: row.started_at,
                silent_seconds: row.silent,
                slots: row.slots,
                busy: row.busy,
                releases: row.releases.0,
                breakers: row.breakers.0,
            })
            .collect())
    }

    /// Forgets workers that have not been heard of for a day.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn forget_old_workers(&self) -> Result<u64, DbError> {
        let done = self
            .run(async |db| {
                sqlx::query!("delete from workers where beat_at < now() - interval '1 day'").execute(db).await
            })
            .await?;
        Ok(done.rows_affected())
    }

    /// Digests that jobs in a live state have pinned.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn pinned_digests(&self) -> Result<Vec<String>, DbError> {
        self.run(async |db| {
            sqlx::query_scalar!(
                r#"
                select distinct guest_digest as "digest!" from processing_jobs
                 where status in ('queued', 'processing') and guest_digest is not null
                "#
            )
            .fetch_all(db)
            .await
        })
        .await
    }
}
