//! The pool, and the deadline of every statement.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    Connection, Executor, PgConnection, PgPool, Postgres,
    pool::{PoolConnection, PoolConnectionMetadata},
    postgres::PgPoolOptions,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    config::DatabaseConfig,
    error::DbError,
    login::{Login, LoginError},
    pooling::{Pooling, Settings},
    sqlstate::Again,
};

/// A session that rested for longer is asked before it is used: servers and networks end idle ones in silence. A busy
/// pool pays no round trip for it.
const PING_AFTER: Duration = Duration::from_millis(500);
/// New sessions for one statement. The first should do, because a session of no use takes older ones with it.
const MAX_NEW_SESSIONS: u32 = 2;
/// A claim that takes longer may follow a plan that was made while the tables were small.
const SLOW_PLAN: Duration = Duration::from_millis(100);
/// The first delay after a conflict, and the longest one.
const CONFLICT_DELAY: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];

/// The database of files and jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    turns: Arc<Semaphore>,
    stale: StaleSessions,
    pub(crate) config: Arc<DatabaseConfig>,
}

impl Database {
    /// Makes a pool that connects on first use; [`Self::check`] tries the connection.
    pub fn new(config: DatabaseConfig) -> Self {
        let stale = StaleSessions::default();
        let settings = Settings::of_statements(config.timeout);
        let pool = PgPoolOptions::new()
            .max_connections(config.pool)
            .acquire_timeout(config.timeout)
            .max_lifetime(config.max_lifetime)
            .idle_timeout(config.idle_timeout)
            // A ping per acquire would cost a round trip per write.
            .test_before_acquire(false)
            .after_connect({
                let (pooling, settings) = (config.pooling, settings.clone());
                move |connection, _| {
                    let settings = settings.clone();
                    Box::pin(async move { pooling.prepare(connection, &settings).await })
                }
            })
            .before_acquire({
                let (stale, patience) = (stale.clone(), config.timeout / 4);
                move |connection, session| {
                    let stale = stale.contains(&session);
                    Box::pin(async move { Ok(!stale && answers(connection, session.idle_for, patience).await) })
                }
            })
            .connect_lazy_with(config.pooling.options(config.login.options(), &settings));
        let turns = Arc::new(Semaphore::new(config.pool as usize));
        Self { pool, turns, stale, config: Arc::new(config) }
    }

    /// Opens a connection outside the pool: for the heartbeat, the listener, and reading back after a lost answer.
    pub(crate) async fn connect(&self) -> Result<PgConnection, DbError> {
        self.connect_with(&self.settings()).await
    }

    /// Opens a connection outside the pool with other settings of the session.
    pub(crate) async fn connect_with(&self, settings: &Settings) -> Result<PgConnection, DbError> {
        self.open(&self.config.login, self.config.pooling, settings).await
    }

    /// Opens a connection past the pooler, if there is a way.
    pub(crate) async fn connect_directly(&self) -> Result<PgConnection, DbError> {
        let (login, pooling) = self.config.direct_login();
        self.open(login, pooling, &self.settings()).await
    }

    async fn open(&self, login: &Login, pooling: Pooling, settings: &Settings) -> Result<PgConnection, DbError> {
        let used = self.ready(login).await?;
        match self.open_once(login, pooling, settings).await {
            Err(error) if self.is_renewed(login, used, &error).await => self.open_once(login, pooling, settings).await,
            done => done,
        }
    }

    async fn open_once(&self, login: &Login, pooling: Pooling, settings: &Settings) -> Result<PgConnection, DbError> {
        let options = pooling.options(login.options(), settings);
        let work = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            pooling.prepare(&mut connection, settings).await?;
            Ok(connection)
        };
        within(self.config.timeout, work).await
    }

    /// Returns whether a session can wait for notifications.
    pub(crate) fn can_listen(&self) -> bool {
        self.config.pooling != Pooling::Transaction || self.config.direct.is_some()
    }

    /// Runs statements on a connection outside the pool, as the pooler demands it.
    pub(crate) async fn run_on<T>(
        &self,
        connection: &mut PgConnection,
        statements: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, DbError> {
        let settings = self.settings();
        within(self.config.timeout, self.config.pooling.run(connection, &settings, statements)).await
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::of_statements(self.config.timeout)
    }

    /// Makes a login ready for a connection: with a password, where a command prints it. Returns which one it is.
    pub(crate) async fn ready(&self, login: &Login) -> Result<u64, DbError> {
        if !login.is_complete() {
            self.renew(login, login.number()).await?;
        }
        Ok(login.number())
    }

    /// Returns whether the server refused the login, and there is another one by now.
    pub(crate) async fn is_renewed(&self, login: &Login, used: u64, error: &DbError) -> bool {
        if !error.is_of_login() {
            return false;
        }
        self.renew(login, used).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the login to the database was not renewed");
            false
        })
    }

    /// Reads the file of the URL again, and runs the command for the password. Returns whether new connections log in in
    /// another way now.
    ///
    /// # Errors
    /// The file or the command is of no use; the login of before stays.
    pub async fn read_login_again(&self) -> Result<bool, LoginError> {
        let mut renewed = false;
        for login in [Some(&self.config.login), self.config.direct.as_ref()].into_iter().flatten() {
            renewed |= self.renew(login, login.number()).await?;
        }
        Ok(renewed)
    }

    async fn renew(&self, login: &Login, used: u64) -> Result<bool, LoginError> {
        let renewed = login.renew(used).await?;
        if renewed {
            self.pool.set_connect_options(self.config.pooling.options(self.config.login.options(), &self.settings()));
        }
        Ok(renewed)
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

    /// Returns whether a new session accepts no writes: the server is a standby, or its configuration says so.
    ///
    /// # Errors
    /// [`DbError`] if no connection is made.
    pub async fn is_read_only(&self) -> Result<bool, DbError> {
        let mut connection = self.connect().await?;
        let asked = sqlx::query_scalar!(r#"select current_setting('transaction_read_only') = 'on' as "read_only!""#);
        self.run_on(&mut connection, async |db| asked.fetch_one(db).await).await
    }

    /// Closes the pool after the running statements.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs statements on a connection of the pool, within the timeout.
    ///
    /// A connection whose statement timed out is closed and not returned: the pool would wait for its answer without a
    /// deadline, and a silent network would use up the pool's places. So is one whose session is of no use.
    pub(crate) async fn run<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, DbError> {
        let login = &self.config.login;
        let used = self.ready(login).await?;
        let (_turn, connection) = match self.acquire().await {
            Err(error) if self.is_renewed(login, used, &error).await => self.acquire().await?,
            acquired => acquired?,
        };
        let mut borrowed = Borrowed { connection, usable: false };
        let result = self.run_on(&mut borrowed.connection, statement).await;
        borrowed.usable = !result.as_ref().is_err_and(DbError::spends_session);
        if result.as_ref().is_err_and(DbError::is_read_only) {
            self.stale.renew();
        }
        result
    }

    /// Takes a connection of the pool, with a turn.
    async fn acquire(&self) -> Result<(SemaphorePermit<'_>, PoolConnection<Postgres>), DbError> {
        // The pool's future is large enough for a whole handshake. It is boxed, and only made once there is a place, so
        // that thousands of jobs can wait for one.
        let acquired = async {
            let turn = self.turns.acquire().await.map_err(|_closed| sqlx::Error::PoolClosed)?;
            Ok((turn, Box::pin(self.pool.acquire()).await?))
        };
        within(self.config.timeout, acquired).await
    }

    /// Runs a statement as [`Self::run`] does, and makes its session plan anew if it was slow. Claims keep their plans, and a
    /// plan from an empty queue reads all of a full one, until Postgres analyzes the tables.
    pub(crate) async fn run_planned<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, DbError> {
        self.run(async |db| {
            let begun = Instant::now();
            let value = statement(&mut *db).await?;
            if begun.elapsed() > SLOW_PLAN {
                // The statement has done its work: what it returned counts, whatever becomes of this.
                if let Err(error) = db.execute("discard plans").await {
                    tracing::debug!(%error, "plans were not discarded");
                }
            }
            Ok(value)
        })
        .await
    }

    /// Runs statements as [`Self::run`] does, and again where they certainly were not carried out: after a session of no
    /// use, on a new one; after a conflict with another transaction, until the timeout.
    ///
    /// `statements` must be one statement or one transaction.
    pub(crate) async fn repeat<T>(
        &self,
        statements: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T> + Clone,
    ) -> Result<T, DbError> {
        let deadline = Instant::now() + self.config.timeout;
        let [mut delay, longest] = CONFLICT_DELAY;
        let mut new_sessions = 0;
        loop {
            let error = match self.run(statements.clone()).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match error.again() {
                Again::NewSession if new_sessions < MAX_NEW_SESSIONS => new_sessions += 1,
                Again::SameSession if Instant::now() < deadline => {
                    tokio::time::sleep(delay.mul_f64(rand::random_range(0.5..1.5))).await;
                    delay = (delay * 2).min(longest);
                }
                _ => return Err(error),
            }
            tracing::debug!(%error, "statement is tried again");
        }
    }
}

/// Sessions that may be on a server that became read-only: all that began before one of them said so.
#[derive(Clone, Debug, Default)]
struct StaleSessions(Arc<Mutex<Option<Instant>>>);

impl StaleSessions {
    /// Makes every session stale that exists now.
    fn renew(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn contains(&self, session: &PoolConnectionMetadata) -> bool {
        let Some(before) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return false };
        before.elapsed() < session.age
    }
}

/// Returns whether a session can be used: it was used a moment ago, or answers.
async fn answers(connection: &mut PgConnection, idle: Duration, patience: Duration) -> bool {
    idle < PING_AFTER || matches!(tokio::time::timeout(patience, connection.ping()).await, Ok(Ok(())))
}

/// Exempts a session from `idle_session_timeout`: it rests by design, as one that listens does. Servers before
/// PostgreSQL 14 have no such setting.
pub(crate) async fn allow_rest(connection: &mut PgConnection) -> sqlx::Result<()> {
    let exempt = "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'";
    sqlx::query(exempt).execute(connection).await?;
    Ok(())
}

/// A connection of the pool that is closed unless its statement left it usable, also where the future is dropped.
struct Borrowed {
    connection: PoolConnection<Postgres>,
    usable: bool,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if !self.usable {
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
