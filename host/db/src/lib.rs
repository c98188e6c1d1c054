//! Postgres: the queue, the journal, the files. The only module that knows `sqlx`.
//!
//! There is no trait: the SQL is the logic, and tests run it on a real server. No connection or transaction is held
//! while something else is waited for; every statement has a client-side deadline besides the server's own.

pub mod answers;
mod clock;
mod config;
mod error;
mod facts;
pub mod failures;
pub mod files;
pub mod history;
pub mod jobs;
pub mod journal;
mod listener;
pub mod migrations;
pub mod pauses;
pub mod queue;
pub mod releases;
pub mod replay;
pub mod rerun;
pub mod sweep;
pub mod workers;

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgPoolOptions};
use tokio::sync::Semaphore;

pub use config::DatabaseConfig;
pub use error::DbError;
pub use listener::Listener;

/// The database of files and jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    turns: Arc<Semaphore>,
    config: Arc<DatabaseConfig>,
}

impl Database {
    /// A pool that connects on first use; `check` tells whether it can.
    pub fn new(config: DatabaseConfig) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(config.pool)
            .acquire_timeout(config.timeout)
            // The statements that matter detect a dead connection themselves; a ping per acquire is a round trip per write.
            .test_before_acquire(false)
            .connect_lazy_with(config.options.clone());
        let turns = Arc::new(Semaphore::new(config.pool as usize));
        Self { pool, turns, config: Arc::new(config) }
    }

    /// A connection outside the pool: for the heartbeat, the listener, and for reading back after a lost answer.
    async fn connect(&self) -> Result<PgConnection, DbError> {
        within(self.config.timeout, PgConnection::connect_with(&self.config.options)).await
    }

    /// Whether the database lets us in now. Connections of the pool do not tell: they were let in before, and stay.
    ///
    /// # Errors
    /// [`DbError::Denied`] when it does not; others as for any statement.
    pub async fn check_login(&self) -> Result<(), DbError> {
        let connection = self.connect().await?;
        within(self.config.timeout, connection.close()).await
    }

    /// Whether the database answers, and whether its schema is the one this binary was built for.
    ///
    /// # Errors
    /// [`DbError`] as for any statement.
    pub async fn check(&self) -> Result<migrations::State, DbError> {
        let mut connection = self.connect().await?;
        within(self.config.timeout, migrations::state(&mut connection)).await
    }

    /// Closes the pool, waiting for statements under way.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs statements on a connection of the pool, within the timeout.
    ///
    /// A connection whose statement did not come to its end is closed, not returned: the pool would wait for its answer
    /// without a deadline, and keep the place of a connection that a silent network has taken.
    async fn run<T>(&self, statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T, DbError> {
        // A future of the pool has room for a whole handshake. In a box, and made only when there is a place, so that
        // thousands of jobs can wait for one.
        let acquired = async {
            let turn = self.turns.acquire().await.map_err(|_closed| sqlx::Error::PoolClosed)?;
            Ok((turn, Box::pin(self.pool.acquire()).await?))
        };
        let (_turn, connection) = within(self.config.timeout, acquired).await?;
        let mut borrowed = Borrowed { connection, whole: false };
        let result = within(self.config.timeout, statement(&mut borrowed.connection)).await;
        borrowed.whole = !matches!(result, Err(DbError::Timeout(_)));
        result
    }
}

/// A connection of the pool with a statement under way.
struct Borrowed {
    connection: PoolConnection<Postgres>,
    /// Whether the statement has come to its end.
    whole: bool,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if !self.whole {
            self.connection.close_on_drop();
        }
    }
}

/// A statement that does not answer in time may have been carried out: the caller must find out.
async fn within<T>(timeout: Duration, statement: impl Future<Output = sqlx::Result<T>>) -> Result<T, DbError> {
    match tokio::time::timeout(timeout, statement).await {
        Ok(result) => result.map_err(DbError::from),
        Err(_elapsed) => Err(DbError::Timeout(timeout)),
    }
}
