//! Pauses: channels of which nothing is claimed. The claim reads them itself; here they are written and shown.

use serde::Serialize;
use time::OffsetDateTime;

use crate::{Database, DbError};

/// The name under which all channels are paused at once. [`Database::claim`] knows it too.
const ALL: &str = "*";

/// A pause, and who wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// The channel; none where nothing at all is claimed.
    pub channel: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub paused_at: OffsetDateTime,
    /// Who paused it.
    pub actor: String,
    /// Why; may be empty.
    pub reason: String,
}

impl Database {
    /// Pauses a channel, or where none is named all of them. False where it was paused already: then that pause stays as it is.
    ///
    /// # Errors
    /// [`DbError`]; pausing again is safe.
    pub async fn pause(&self, channel: Option<&str>, actor: &str, reason: &str) -> Result<bool, DbError> {
        let done = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                    insert into queue_pauses (channel, actor, reason) values ($1, $2, $3)
                    on conflict (channel) do nothing
                    "#,
                    channel.unwrap_or(ALL),
                    actor,
                    reason,
                )
                .execute(db)
                .await
            })
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends the pause of a channel, or where none is named the one of all channels; pauses of single channels stay then.
    /// False where there was no such pause. Workers look for jobs at once.
    ///
    /// # Errors
    /// [`DbError`]; resuming again is safe.
    pub async fn resume(&self, channel: Option<&str>) -> Result<bool, DbError> {
        let resumed = self
            .run(async |db| {
                sqlx::query_scalar!(
                    r#"
                    with resumed as (
                        delete from queue_pauses where channel = $1 returning channel
                    ), wake as (
                        select pg_notify('assay_jobs', '') from resumed
                    )
                    select (select count(*) from resumed) + 0 * (select count(*) from wake) as "resumed!"
                    "#,
                    channel.unwrap_or(ALL),
                )
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(resumed == 1)
    }

    /// What is paused now: all channels first, then one by one.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn pauses(&self) -> Result<Vec<Pause>, DbError> {
        self.run(async |db| {
            sqlx::query_as!(
                Pause,
                r#"
                select nullif(channel, $1) as channel, paused_at, actor, reason
                  from queue_pauses
                 order by channel <> $1, channel
                "#,
                ALL,
            )
            .fetch_all(db)
            .await
        })
        .await
    }
}
