//! Pauses: channels of which no job is claimed. The claim's own statement reads them.

use serde::Serialize;

use crate::{database::Database, error::DbError, stored_time::StoredTime};

/// Pauses every channel. `sql/claim.sql` and the reaper have the same name.
const ALL_CHANNELS: &str = "*";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// None if every channel is paused.
    pub channel: Option<String>,
    pub paused_at: StoredTime,
    pub actor: String,
    /// May be empty.
    pub reason: String,
}

impl Database {
    /// Pauses a channel, or all of them. Returns false, and changes nothing, if it was paused already.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn pause(&self, channel: Option<&str>, actor: &str, reason: &str) -> Result<bool, DbError> {
        let done = self
            .repeat(async |db| {
                sqlx::query!(
                    r#"
                    insert into queue_pauses (channel, actor, reason) values ($1, $2, $3)
                    on conflict (channel) do nothing
                    "#,
                    channel.unwrap_or(ALL_CHANNELS),
                    actor,
                    reason,
                )
                .execute(db)
                .await
            })
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends the pause of a channel, or the one of all channels; pauses of single channels stay then. Returns false if
    /// there was no such pause. Workers look for jobs at once.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn resume(&self, channel: Option<&str>) -> Result<bool, DbError> {
        let resumed = self
            .repeat(async |db| {
                sqlx::query_scalar!(
                    r#"
                    with resumed as (
                        delete from queue_pauses where channel = $1 returning channel
                    ), wake as (
                        select pg_notify('assay_jobs', '') from resumed
                    )
                    select (select count(*) from resumed) + 0 * (select count(*) from wake) as "resumed!"
                    "#,
                    channel.unwrap_or(ALL_CHANNELS),
                )
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(resumed == 1)
    }

    /// Returns the pauses: that of all channels first, then those of single channels.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn pauses(&self) -> Result<Vec<Pause>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                Pause,
                r#"
                select nullif(channel, $1) as channel, paused_at as "paused_at: StoredTime", actor, reason
                  from queue_pauses
                 order by channel <> $1, channel
                "#,
                ALL_CHANNELS,
            )
            .fetch_all(db)
            .await
        })
        .await
    }
}
