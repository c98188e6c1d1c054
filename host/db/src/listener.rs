//! Wake-ups: LISTEN on its own connection. A lost notification only costs time, because the workers poll too.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgListener},
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    database::{Database, allow_rest, within},
    error::DbError,
};

const JOBS: &str = "assay_jobs";
const RELEASES: &str = "assay_releases";
const CANCELS: &str = "assay_cancels";
/// The listener's notification to itself, which shows whether notifications arrive. Other workers ignore it.
const PROBE: &str = "assay_probe";
/// Silence after which the listener probes: it finds half-open connections, and poolers that swallow LISTEN.
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The first delay.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);
/// The longest delay where LISTEN cannot work: a pooler swallows it, or the login is refused.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// The longest delay during an outage, which may end at any moment.
const LONGEST_OUTAGE_DELAY: Duration = Duration::from_secs(4);

/// Wakes the worker when jobs arrive.
#[derive(Clone, Debug)]
pub struct Listener {
    wake: Arc<Wake>,
}

#[derive(Debug, Default)]
struct Wake {
    jobs: Notify,
    releases: Notify,
    cancels: Notify,
}

impl Wake {
    fn heard(&self, channel: &str) {
        match channel {
            JOBS => self.jobs.notify_waiters(),
            RELEASES => self.releases.notify_waiters(),
            CANCELS => self.cancels.notify_waiters(),
            _ => {}
        }
    }
}

impl Listener {
    /// Listens until `stop`. Each notification and each reconnect wakes those who wait on the returned handle.
    pub fn start(database: Database, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let listener = Self { wake: Arc::default() };
        let task = tokio::spawn(listen(database, listener.wake.clone(), stop));
        (listener, task)
    }

    /// Completes at the next wake-up. Poll or `enable` the future *before* querying, or only the next poll of the queue
    /// finds a job that arrives in between.
    pub fn woken(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.jobs.notified()
    }

    /// Wakes those who wait for jobs, without a notification.
    pub fn wake(&self) {
        self.wake.jobs.notify_waiters();
    }

    /// Completes as [`Self::woken`] does, when a channel's release has changed.
    pub fn releases_changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.releases.notified()
    }

    /// Completes as [`Self::woken`] does, when the end of a running job was requested.
    pub fn cancel_requested(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.cancels.notified()
    }
}

async fn listen(database: Database, wake: Arc<Wake>, stop: CancellationToken) {
    if !database.can_listen() {
        tracing::info!("LISTEN is off behind a pooler without DATABASE_DIRECT_URL; jobs are found by polling");
        return stop.cancelled().await;
    }
    let mut pause = RECONNECT_DELAY;
    loop {
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = serve(&database, &wake, &mut pause) => result,
        };
        let Err(error) = result;
        let longest = longest_delay(&error);
        // An outage is logged a few times, and not every four seconds.
        if pause < longest {
            tracing::warn!(%error, pause_ms = pause.as_millis(), "job notifications interrupted; polling goes on");
        } else {
            tracing::debug!(%error, pause_ms = pause.as_millis(), "job notifications are still interrupted");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(longest);
    }
}

fn longest_delay(error: &DbError) -> Duration {
    match error {
        DbError::Connection(_) | DbError::Transient(_) => LONGEST_OUTAGE_DELAY,
        _ => LONGEST_DELAY,
    }
}

/// Listens on one connection until it fails.
async fn serve(database: &Database, wake: &Wake, pause: &mut Duration) -> Result<std::convert::Infallible, DbError> {
    let mut listener = database.listener().await?;
    let probe = format!("{:032x}", rand::random::<u128>());
    within(database.config.timeout, listener.listen_all([JOBS, RELEASES, CANCELS, PROBE])).await?;
    // Only now: a standby accepts no LISTEN, and a prober would stay on it for as long as notifications arrive.
    let mut prober = database.connect_directly().await?;
    within(database.config.timeout, allow_rest(&mut prober)).await?;
    // Notifications were lost while nothing listened, so everything is looked at once.
    wake.heard(JOBS);
    wake.heard(RELEASES);
    wake.heard(CANCELS);
    let mut heard_once = false;
    loop {
        match timeout(PROBE_AFTER, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                *pause = RECONNECT_DELAY;
                wake.heard(notification.channel());
            }
            Ok(Ok(None)) => return Err(DbError::Connection("the listener was disconnected".into())),
            Ok(Err(error)) => return Err(error.into()),
            Err(_quiet) => {
                if !answers_probe(&mut prober, &mut listener, wake, &probe).await? {
                    if !heard_once {
                        tracing::warn!(
                            "LISTEN is swallowed, as behind a pooler in transaction mode; jobs are found by polling"
                        );
                    }
                    return Err(DbError::Timeout(PROBE_TIMEOUT));
                }
                heard_once = true;
                *pause = RECONNECT_DELAY;
            }
        }
    }
}

/// Sends a notification through another connection and waits for it to come back.
async fn answers_probe(
    prober: &mut PgConnection,
    listener: &mut PgListener,
    wake: &Wake,
    probe: &str,
) -> Result<bool, DbError> {
    let deadline = tokio::time::Instant::now() + PROBE_TIMEOUT;
    let round = async {
        prober.ping().await?;
        sqlx::query!("select pg_notify($1, $2)", PROBE, probe).execute(&mut *prober).await?;
        loop {
            match listener.try_recv().await? {
                Some(notification) if notification.payload() == probe => {
                    return Ok::<_, sqlx::Error>(true);
                }
                Some(notification) => wake.heard(notification.channel()),
                None => return Ok(false),
            }
        }
    };
    match tokio::time::timeout_at(deadline, round).await {
        // A pooler gave both connections the same session: the notification reached the one that does not listen.
        Ok(Err(sqlx::Error::Protocol(_))) => Ok(false),
        Ok(result) => Ok(result?),
        Err(_elapsed) => Ok(false),
    }
}

impl Database {
    /// Checks that LISTEN on one connection receives a NOTIFY from another. Behind a pooler in transaction mode it does
    /// not, and jobs are found by polling.
    ///
    /// # Errors
    /// [`DbError`] if one of the connections fails.
    pub async fn hears_itself(&self) -> Result<bool, DbError> {
        if !self.can_listen() {
            return Ok(false);
        }
        let mut prober = self.connect_directly().await?;
        let mut listener = self.listener().await?;
        let probe = format!("{:032x}", rand::random::<u128>());
        within(self.config.timeout, listener.listen_all([JOBS, PROBE])).await?;
        answers_probe(&mut prober, &mut listener, &Wake::default(), &probe).await
    }

    async fn listener(&self) -> Result<PgListener, DbError> {
        let (login, pooling) = self.config.direct_login();
        let used = self.ready(login).await?;
        match self.listen_with(pooling.options(login.options(), &self.settings())).await {
            Err(error) if self.is_renewed(login, used, &error).await => {
                self.listen_with(pooling.options(login.options(), &self.settings())).await
            }
            done => done,
        }
    }

    async fn listen_with(&self, options: PgConnectOptions) -> Result<PgListener, DbError> {
        // Its own pool, because the listener never returns its connection.
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.config.timeout)
            .after_connect(|connection, _| Box::pin(allow_rest(connection)))
            .connect_lazy_with(options);
        let mut listener = within(self.config.timeout, PgListener::connect_with(&pool)).await?;
        // We reconnect ourselves, because the queue must be looked at after a reconnect.
        listener.ignore_pool_close_event(true);
        Ok(listener)
    }
}
