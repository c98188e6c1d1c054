//! Keeping claims alive: one batched statement per worker and beat, on a connection of its own.

use std::{collections::HashMap, time::Duration};

use assay_core::{ids::JobId, lease::Lease};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::{Database, DbError, within};

/// The heartbeat's own connection: it must not wait behind a busy pool.
#[derive(Debug)]
pub struct Heartbeat {
    connection: PgConnection,
    timeout: Duration,
}

/// What the fleet is told of a worker, as `workers` keeps it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The releases that it has loaded, and those that do not load.
    pub releases: Value,
    /// The breakers that are open.
    pub breakers: Value,
}

impl Database {
    /// Opens the connection for a worker's beats, each of which ends within `timeout`: for the server too, which would
    /// otherwise keep the rows of an abandoned beat locked, and the next one waiting.
    ///
    /// # Errors
    /// [`DbError`] when no connection is made in time.
    pub async fn heartbeat(&self, timeout: Duration) -> Result<Heartbeat, DbError> {
        let milliseconds = |limit: Duration| format!("{}ms", limit.as_millis().max(1));
        let options = self.config.options.clone().options([
            ("statement_timeout", milliseconds(timeout * 3 / 4)),
            ("lock_timeout", milliseconds(timeout / 2)),
        ]);
        // Connecting locks nothing and may take its usual time: claims are given up meanwhile all the same.
        let connection = within(self.config.timeout, PgConnection::connect_with(&options)).await?;
        Ok(Heartbeat { connection, timeout })
    }
}

impl Heartbeat {
    /// Renews the leases of `held` and tells which of them are still ours: a job that is not among them is lost. Of each of ours
    /// it tells whether somebody has asked for its end: in the same answer, so that no request is lost.
    ///
    /// Rows are locked in the order of their ids, as everybody does who locks several.
    ///
    /// # Errors
    /// [`DbError`]; the leases may or may not have been renewed.
    pub async fn beat(&mut self, held: &[Lease]) -> Result<HashMap<JobId, bool>, DbError> {
        if held.is_empty() {
            return Ok(HashMap::new());
        }
        let (ids, tokens): (Vec<_>, Vec<_>) = held.iter().map(|lease| (lease.job.0, lease.token.0)).unzip();
        let rows = within(
            self.timeout,
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
            .fetch_all(&mut self.connection),
        )
        .await?;
        Ok(rows.into_iter().map(|row| (JobId(row.id), row.cancel)).collect())
    }

    /// Tells the fleet that this worker lives, what it serves, and what it waits for.
    ///
    /// # Errors
    /// [`DbError`]; the next beat tells it again.
    pub async fn announce(&mut self, worker: &str, version: &str, slots: i32, told: &Told) -> Result<(), DbError> {
        within(
            self.timeout,
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
                told.releases,
                told.breakers
            )
            .execute(&mut self.connection),
        )
        .await?;
        Ok(())
    }

    /// Tells the fleet that this worker has stopped.
    ///
    /// # Errors
    /// [`DbError`]; the fleet finds out by the missing beat.
    pub async fn farewell(&mut self, worker: &str) -> Result<(), DbError> {
        within(
            self.timeout,
            sqlx::query!("update workers set stopped_at = now() where id = $1", worker).execute(&mut self.connection),
        )
        .await?;
        Ok(())
    }
}
