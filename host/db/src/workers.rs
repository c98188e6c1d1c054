//! The workers, as their heartbeats describe them.

use assay_core::breaker::OpenBreaker;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{
    database::Database,
    error::DbError,
    lenient::{Lenient, UnreadableColumn},
    parts::{Parts, Refused},
    stored_time::StoredTime,
};

/// A release that a worker has loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadedRelease {
    /// From its `describe`; empty if it failed to load.
    pub prompt_version: String,
    /// From its `describe`.
    pub schema_version: String,
    /// sha256 of its bytes, lower hex.
    pub digest: String,
    /// Whether jobs without a prompt version get it, in channels without a release of their own.
    pub is_default: bool,
    /// The channels that run it on this worker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Why it failed to load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WorkerRow {
    /// Host, process and start.
    pub id: String,
    /// Of the binary.
    pub version: String,
    pub started_at: StoredTime,
    /// Since its last heartbeat.
    pub silent_seconds: f64,
    /// Jobs that it runs at once.
    pub slots: i32,
    /// Jobs that it runs now.
    pub busy: i64,
    pub releases: Vec<LoadedRelease>,
    /// As of its last heartbeat.
    pub breakers: Vec<OpenBreaker>,
    /// Columns whose value cannot be read; their fields are empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableColumn>,
}

impl WorkerRow {
    /// The column of [`Self::releases`].
    pub const RELEASES: UnreadableColumn = UnreadableColumn("workers.releases");
    /// The column of [`Self::breakers`].
    pub const BREAKERS: UnreadableColumn = UnreadableColumn("workers.breakers");
}

impl Database {
    /// Returns workers with a heartbeat within the last minute that have not stopped.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn live_workers(&self) -> Result<Vec<WorkerRow>, DbError> {
        let rows = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                select w.id, w.version, w.started_at as "started_at: StoredTime", w.slots,
                       w.releases as "releases: Lenient<Json<Vec<LoadedRelease>>>",
                       w.breakers as "breakers: Lenient<Json<Vec<OpenBreaker>>>",
                       (extract(epoch from now()) - extract(epoch from w.beat_at))::float8 as "silent!",
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
            .map(|row| {
                let mut unreadable = Vec::new();
                WorkerRow {
                    id: row.id,
                    version: row.version,
                    started_at: row.started_at,
                    silent_seconds: row.silent,
                    slots: row.slots,
                    busy: row.busy,
                    releases: row.releases.or_default(WorkerRow::RELEASES, &mut unreadable).0,
                    breakers: row.breakers.or_default(WorkerRow::BREAKERS, &mut unreadable).0,
                    unreadable,
                }
            })
            .collect())
    }

    /// Deletes workers without a heartbeat for a day. Returns those that the database refuses to delete.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn forget_old_workers(&self) -> Result<Vec<Refused<String>>, DbError> {
        let old = self.repeat(async |db| {
            sqlx::query_scalar!("select id from workers where beat_at < now() - interval '1 day'").fetch_all(db).await
        });
        let old = old.await?;
        let mut parts = Parts::of(&old);
        while let Some(part) = parts.next_part() {
            let deleted = self.repeat(async |db| {
                sqlx::query!("delete from workers where id = any ($1) and beat_at < now() - interval '1 day'", part,)
                    .execute(db)
                    .await
            });
            parts.settle(part, deleted.await)?;
        }
        Ok(parts.refused())
    }

    /// Returns the digests that queued and running jobs have pinned.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn pinned_digests(&self) -> Result<Vec<String>, DbError> {
        self.repeat(async |db| {
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
