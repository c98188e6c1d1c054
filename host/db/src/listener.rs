//! Wake-ups: LISTEN on a connection of its own. NOTIFY wakes, polling guarantees.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection, postgres::PgListener};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{Database, DbError, within};

const JOBS: &str = "assay_jobs";
const RELEASES: &str = "assay_releases";
const CANCELS: &str = "assay_cancels";
/// What the listener sends itself to learn whether notifications arrive. Workers of a fleet ignore each other's.
const PROBE: &str = "assay_probe";
/// A half-open connection or a pooler that swallows LISTEN is found out within this time.
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
const RECONNECT: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(60)];

/// Wakes the worker when jobs arrive.
#[derive(Clone, Debug)]
pub struct Listener {
    wake: Arc<Wake>,
}

/// Who waits for what.
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
    /// Listens until `stop`; whoever waits on the returned handle is woken by each notification and each reconnect.
    pub fn start(database: Database, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let listener = Self { wake: Arc::default() };
        let task = tokio::spawn(listen(database, listener.wake.clone(), stop));
        (listener, task)
    }

    /// Completes at the next wake-up. Interest is registered when the future is first polled or `enable`d: do so
    /// *before* querying, or a job that arrives in between is only found by the poll.
    pub fn woken(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.jobs.notified()
    }

    /// Wakes whoever looks for jobs, without a notification.
    pub fn wake(&self) {
        self.wake.jobs.notify_waiters();
    }

    /// As [`Self::woken`], when what a channel runs has changed.
    pub fn releases_changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.releases.notified()
    }

    /// As [`Self::woken`], when somebody has asked for the end of a job that is in hand somewhere.
    pub fn cancel_requested(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.cancels.notified()
    }
}

async fn listen(database: Database, wake: Arc<Wake>, stop: CancellationToken) {
    let mut pause = RECONNECT[0];
    loop {
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = serve(&database, &wake, &mut pause) => result,
        };
        let Err(error) = result;
        tracing::warn!(%error, pause_ms = pause.as_millis(), "job notifications interrupted; polling goes on");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(RECONNECT[1]);
    }
}

/// Listens on one connection until it fails.
async fn serve(database: &Database, wake: &Wake, pause: &mut Duration) -> Result<std::convert::Infallible, DbError> {
    let mut prober = database.connect().await?;
    let mut listener = database.listener().await?;
    let probe = format!("{:032x}", rand::random::<u128>());
    within(database.config.timeout, listener.listen_all([JOBS, RELEASES, CANCELS, PROBE])).await?;
    // Whatever arrived while nobody listened is found by looking.
    wake.heard(JOBS);
    wake.heard(RELEASES);
    wake.heard(CANCELS);
    let mut heard_once = false;
    loop {
        match timeout(PROBE_EVERY, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                *pause = RECONNECT[0];
                wake.heard(notification.channel());
            }
            Ok(Ok(None)) => return Err(DbError::Connection("the listener was disconnected")),
            Ok(Err(error)) => return Err(error.into()),
            Err(_quiet) => {
                if !answers_probe(&mut prober, &mut listener, wake, &probe).await? {
                    if !heard_once {
                        tracing::warn!(
                            "LISTEN is swallowed, as behind a pooler in transaction mode; jobs are found by polling"
                        );
                    }
                    return Err(DbError::Timeout(PROBE_PATIENCE));
                }
                heard_once = true;
                *pause = RECONNECT[0];
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
    let deadline = tokio::time::Instant::now() + PROBE_PATIENCE;
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
        Ok(result) => Ok(result?),
        Err(_elapsed) => Ok(false),
    }
}

impl Database {
    /// Whether LISTEN on one connection hears what NOTIFY sends on another. Behind a pooler in transaction mode it does
    /// not, and jobs are found by polling.
    ///
    /// # Errors
    /// [`DbError`] where one of the connections fails.
    pub async fn hears_itself(&self) -> Result<bool, DbError> {
        let mut prober = self.connect().await?;
        let mut listener = self.listener().await?;
        let probe = format!("{:032x}", rand::random::<u128>());
        within(self.config.timeout, listener.listen_all([JOBS, PROBE])).await?;
        answers_probe(&mut prober, &mut listener, &Wake::default(), &probe).await
    }

    async fn listener(&self) -> Result<PgListener, DbError> {
        // A pool of its own: the listener keeps its connection for good.
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.config.timeout)
            .connect_lazy_with(self.config.options.clone());
        let mut listener = within(self.config.timeout, PgListener::connect_with(&pool)).await?;
        // Reconnecting is ours, because a reconnect must be followed by a look at the queue.
        listener.ignore_pool_close_event(true);
        Ok(listener)
    }
}
