//! Looking at releases: for commands, and for workers that follow the channels.

use assay_core::channel::{Canary, Channel, Plan};
use serde::Serialize;

use crate::{database::Database, error::DbError, stored_time::StoredTime};

/// A published release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReleaseRow {
    /// sha256 of the component, lower hex.
    pub digest: String,
    /// Jobs name it.
    pub prompt_version: String,
    /// Counts the different components of one prompt version, from 1.
    pub revision: i32,
    /// Of its reports.
    pub schema_version: String,
    /// Of the component.
    pub size_bytes: i64,
    /// The compiler that built it.
    pub toolchain: Option<String>,
    /// Hash of its sources.
    pub sources: Option<String>,
    pub published_by: String,
    pub published_at: StoredTime,
    /// From then on it serves no new jobs.
    pub retired_at: Option<StoredTime>,
}

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeRow {
    pub at: StoredTime,
    pub actor: String,
    /// `publish`, `activate`, `canary`, `shadow`, `promote`, `halt`, `rollback` or `retire`.
    pub action: String,
    /// None for `publish` and `retire`, which concern every channel.
    pub channel: Option<String>,
    pub digest_from: Option<String>,
    pub digest_to: Option<String>,
    pub reason: String,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelRow {
    pub name: String,
    #[serde(flatten)]
    pub runs: Channel,
    pub changed_at: StoredTime,
    /// When the canary began, at any share.
    pub canary_since: Option<StoredTime>,
}

impl Database {
    /// Returns every release, the newest first.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn releases(&self) -> Result<Vec<ReleaseRow>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                ReleaseRow,
                r#"
                select digest, prompt_version, revision, schema_version, size_bytes, toolchain, sources, published_by,
                       published_at as "published_at: StoredTime", retired_at as "retired_at: StoredTime"
                  from guest_releases
                 order by published_at desc, prompt_version, revision desc
                "#
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Returns every channel that was ever changed.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn channels(&self) -> Result<Vec<ChannelRow>, DbError> {
        let rows = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    select channel, active, canary, canary_percent, canary_since as "canary_since: StoredTime", shadow,
                           changed_at as "changed_at: StoredTime"
                      from release_channels
                     order by channel
                    "#
                )
                .fetch_all(db)
                .await
            })
            .await?;
        let row = rows.into_iter().map(|row| {
            let canary = row.canary.zip(row.canary_percent).map(|(digest, percent)| Canary { digest, percent });
            let runs = Channel { active: row.active, canary, shadow: row.shadow };
            ChannelRow { name: row.channel, runs, changed_at: row.changed_at, canary_since: row.canary_since }
        });
        Ok(row.collect())
    }

    /// Returns the audit of one release or of all, the newest change first.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn release_changes(&self, digest: Option<&str>, limit: i64) -> Result<Vec<ChangeRow>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                ChangeRow,
                r#"
                select at as "at: StoredTime", actor, action, channel, digest_from, digest_to, reason
                  from release_changes
                 where $1::text is null or $1 in (digest_from, digest_to)
                 order by id desc
                 limit $2
                "#,
                digest,
                limit
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Returns the releases that a worker must have loaded.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn release_plan(&self) -> Result<Plan, DbError> {
        let channels = self.channels().await?.into_iter().map(|row| (row.name, row.runs)).collect();
        let versions = self.repeat(async |db| {
            sqlx::query!(
                r#"
                select distinct on (r.prompt_version) r.prompt_version, r.digest
                  from guest_releases r
                 where r.retired_at is null
                   and exists (select from processing_jobs j
                                where j.status = 'queued' and j.guest_digest is null
                                  and j.prompt_version = r.prompt_version)
                 order by r.prompt_version, r.revision
                "#
            )
            .fetch_all(db)
            .await
        });
        let versions = versions.await?.into_iter().map(|row| (row.prompt_version, row.digest)).collect();
        let retired = self.repeat(async |db| {
            sqlx::query_scalar!("select digest from guest_releases where retired_at is not null").fetch_all(db).await
        });
        Ok(Plan { channels, versions, retired: retired.await?, pinned: self.pinned_digests().await? })
    }
}
