//! Renewing leases: one statement per worker and heartbeat, on its own connection.

use std::{collections::HashMap, time::Duration};

use assay_core::{ids::JobId, lease::Lease};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    database::{Database, allow_rest, within},
    error::DbError,
    parts::{Parts, Refused},
    pooling::{Pooling, Settings},
};

/// The heartbeat's own connection, which does not wait for a busy pool.
#[derive(Debug)]
pub struct Heartbeat {
    connection: PgConnection,
    timeout: Duration,
    pooling: Pooling,
    settings: Settings,
}

/// What one call of [`Heartbeat::renew`] found.
#[derive(Debug, Default)]
pub struct Renewal {
    /// The jobs that are still ours, each with whether its end was requested.
    pub kept: HashMap<JobId, bool>,
    /// Leases that the database refuses to renew, because of a value in the job's row.
    pub refused: Vec<Refused<Lease>>,
}

/// What a worker writes about itself into `workers`.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The loaded releases, and those that failed to load.
    pub releases: Value,
    /// The open breakers.
    pub breakers: Value,
}

impl Database {
    /// Opens the connection for a worker's heartbeats. Each ends within `timeout`, on the server too: otherwise an
    /// abandoned heartbeat would keep its rows locked, and the next one would wait for them.
    ///
    /// # Errors
    /// [`DbError`] if no connection is made in time.
    pub async fn heartbeat(&self, timeout: Duration) -> Result<Heartbeat, DbError> {
        let settings = Settings::of_statements(timeout).with_lock_timeout(timeout / 2);
        // Connecting locks nothing and has its usual time. Claims are still given up meanwhile.
        let mut connection = self.connect_with(&settings).await?;
        if self.config.pooling != Pooling::Transaction {
            within(self.config.timeout, allow_rest(&mut connection)).await?;
        }
        Ok(Heartbeat { connection, timeout, pooling: self.config.pooling, settings })
    }
}

impl Heartbeat {
    /// Renews leases and returns the jobs that are still ours. A job that is not among them is lost. The requests come in
    /// the same answer, so that none is missed.
    ///
    /// Locks the rows in the order of their ids.
    ///
    /// # Errors
    /// [`DbError`]; the leases may or may not have been renewed.
    pub async fn renew(&mut self, held: &[Lease]) -> Result<Renewal, DbError> {
        if held.is_empty() {
            return Ok(Renewal::default());
        }
        let mut kept = HashMap::new();
        let mut parts = Parts::of(held);
        while let Some(part) = parts.next_part() {
            kept.extend(parts.settle(part, self.renew_all(part).await)?.unwrap_or_default());
        }
        Ok(Renewal { kept, refused: parts.refused() })
    }

    async fn renew_all(&mut self, held: &[Lease]) -> Result<Vec<(JobId, bool)>, DbError> {
        let (ids, tokens): (Vec<_>, Vec<_>) = held.iter().map(|lease| (lease.job.0, lease.token.0)).unzip();
        let rows = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                with mine as (
                    select j.id
                      from processing_jobs j
                      join unnest($1::uuid[], $2::bigint[]) as held (id, token)
                        on held.id = j.id and held.token = j.lease_token
                     where j.status = 'processing'
                     order by j.id
                       for no key update of j
                )
                update processing_jobs j
                   set heartbeat_at = clock_timestamp()
                  from mine
                 where j.id = mine.id
                returning j.id, j.cancel_requested_at is not null as "cancel!"
                "#,
                    &ids,
                    &tokens
                )
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(rows.into_iter().map(|row| (JobId(row.id), row.cancel)).collect())
    }

    /// Writes that this worker is alive, which releases it has, and which breakers are open.
    ///
    /// # Errors
    /// [`DbError`]; the next heartbeat writes it again.
    pub async fn announce(
        &mut self,
        worker: &str,
        version: &str,
        slots: i32,
        announcement: &Announcement,
    ) -> Result<(), DbError> {
        self.run(async |db| {
            sqlx::query!(
                r#"
                insert into workers (id, version, slots, releases, breakers) values ($1, $2, $3, $4, $5)
                on conflict (id) do update
                   set beat_at = now(), slots = excluded.slots, releases = excluded.releases,
                       breakers = excluded.breakers, stopped_at = null
                "#,
                worker,
                version,
                slots,
                announcement.releases,
                announcement.breakers
            )
            .execute(db)
            .await
        })
        .await?;
        Ok(())
    }

    /// Writes that this worker has stopped.
    ///
    /// # Errors
    /// [`DbError`]; the missing heartbeat shows it later.
    pub async fn announce_stop(&mut self, worker: &str) -> Result<(), DbError> {
        self.run(async |db| {
            sqlx::query!("update workers set stopped_at = now() where id = $1", worker).execute(db).await
        })
        .await?;
        Ok(())
    }

    async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, DbError> {
        within(self.timeout, self.pooling.run(&mut self.connection, &self.settings, statement)).await
    }
}
