//! The pool, and the deadline of every statement.

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgPoolOptions};
use tokio::sync::Semaphore;

use crate::{config::DatabaseConfig, error::DbError};

/// The database of files and jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    turns: Arc<Semaphore>,
    pub(crate) config: Arc<DatabaseConfig>,
}

impl Database {
    /// Makes a pool that connects on first use; [`Self::check`] tries the connection.
    pub fn new(config: DatabaseConfig) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(config.pool)
            .acquire_timeout(config.timeout)
            // A ping per acquire would cost a round trip per write. Statements find a dead connection themselves.
            .test_before_acquire(false)
            .connect_lazy_with(config.options.clone());
        let turns = Arc::new(Semaphore::new(config.pool as usize));
        Self { pool, turns, config: Arc::new(config) }
    }

    /// Opens a connection outside the pool: for the heartbeat, the listener, and reading back after a lost answer.
    pub(crate) async fn connect(&self) -> Result<PgConnection, DbError> {
        within(self.config.timeout, PgConnection::connect_with(&self.config.options)).await
    }

    /// Checks that the database accepts a new connection. Connections of the pool do not show that: they stay open
    /// after a password has changed.
    ///
    /// # Errors
    /// [`DbError::Denied`] if it does not; others as for any statement.
    pub async fn check_login(&self) -> Result<(), DbError> {
        let connection = self.connect().await?;
        within(self.config.timeout, connection.close()).await
    }

    /// Closes the pool after the running statements.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs statements on a connection of the pool, within the timeout.
    ///
    /// A connection whose statement timed out is closed and not returned: the pool would wait for its answer without a
    /// deadline, and a silent network would use up the pool's places.
    pub(crate) async fn run<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, DbError> {
        // The pool's future is large enough for a whole handshake. It is boxed, and only made once there is a place, so
        // that thousands of jobs can wait for one.
        let acquired = async {
            let turn = self.turns.acquire().await.map_err(|_closed| sqlx::Error::PoolClosed)?;
            Ok((turn, Box::pin(self.pool.acquire()).await?))
        };
        let (_turn, connection) = within(self.config.timeout, acquired).await?;
        let mut borrowed = Borrowed { connection, finished: false };
        let result = within(self.config.timeout, statement(&mut borrowed.connection)).await;
        borrowed.finished = !matches!(result, Err(DbError::Timeout(_)));
        result
    }
}

/// A connection of the pool that is closed unless its statement finishes, also where the future is dropped.
struct Borrowed {
    connection: PoolConnection<Postgres>,
    finished: bool,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if !self.finished {
            self.connection.close_on_drop();
        }
    }
}

/// Limits a statement's time. A statement without an answer in time may have been carried out.
pub(crate) async fn within<T>(
    timeout: Duration,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, DbError> {
    match tokio::time::timeout(timeout, statement).await {
        Ok(result) => result.map_err(DbError::from),
        Err(_elapsed) => Err(DbError::Timeout(timeout)),
    }
}
