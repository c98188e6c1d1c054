//! Publishing and retiring releases.

use sqlx::{Connection, PgConnection};

use super::change::By;
use crate::{database::Database, error::DbError};

/// A release to be published, as its component describes it.
#[derive(Debug)]
pub struct NewRelease<'a> {
    /// sha256 of the component, lower hex.
    pub digest: &'a str,
    /// From its manifest.
    pub prompt_version: &'a str,
    /// From its manifest.
    pub schema_version: &'a str,
    /// Of the component.
    pub size_bytes: i64,
    /// From its stamp.
    pub toolchain: Option<&'a str>,
    /// From its stamp.
    pub sources: Option<&'a str>,
}

/// A release after publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Counts the different components of its prompt version, from 1.
    pub revision: i32,
    /// False if the same component was published before.
    pub is_new: bool,
}

impl Database {
    /// Publishes a release. The same component again changes nothing; another one of its prompt version is the next
    /// revision.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn publish(&self, release: &NewRelease<'_>, by: By<'_>) -> Result<Published, DbError> {
        let insert = async |db: &mut PgConnection| {
            let mut transaction = db.begin().await?;
            // Without the lock, two releases that are published at once could get the same revision.
            sqlx::query!("lock table guest_releases in share row exclusive mode").execute(&mut *transaction).await?;
            let known = sqlx::query_scalar!("select revision from guest_releases where digest = $1", release.digest)
                .fetch_optional(&mut *transaction)
                .await?;
            if let Some(revision) = known {
                return Ok(Published { revision, is_new: false });
            }
            let revision = sqlx::query_scalar!(
                r#"
                insert into guest_releases (digest, prompt_version, revision, schema_version, size_bytes, toolchain,
                                            sources, published_by)
                select $1, $2, coalesce(max(r.revision), 0) + 1, $3, $4, $5, $6, $7
                  from guest_releases r
                 where r.prompt_version = $2
                returning revision
                "#,
                release.digest,
                release.prompt_version,
                release.schema_version,
                release.size_bytes,
                release.toolchain,
                release.sources,
                by.actor,
            )
            .fetch_one(&mut *transaction)
            .await?;
            sqlx::query!(
                "insert into release_changes (actor, action, digest_to, reason) values ($1, 'publish', $2, $3)",
                by.actor,
                release.digest,
                by.reason,
            )
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(Published { revision, is_new: true })
        };
        self.repeat(insert).await
    }

    /// Takes a release out of service. Returns false, and changes nothing, if a channel runs it or it is retired
    /// already.
    ///
    /// Jobs that have pinned it run on it to their end.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn retire(&self, digest: &str, by: By<'_>) -> Result<bool, DbError> {
        let update = async |db: &mut PgConnection| {
            let mut transaction = db.begin().await?;
            // Activating a release locks its row too, so that the next statement sees a channel changed meanwhile.
            sqlx::query!("select digest from guest_releases where digest = $1 for update", digest)
                .fetch_optional(&mut *transaction)
                .await?;
            let done = sqlx::query!(
                r#"
                update guest_releases r set retired_at = now()
                 where r.digest = $1 and r.retired_at is null
                   and not exists (select from release_channels c where $1 in (c.active, c.canary, c.shadow))
                "#,
                digest,
            )
            .execute(&mut *transaction)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query!(
                "insert into release_changes (actor, action, digest_from, reason) values ($1, 'retire', $2, $3)",
                by.actor,
                digest,
                by.reason,
            )
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(true)
        };
        self.repeat(update).await
    }
}
