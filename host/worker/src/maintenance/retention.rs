//! Forgetting: answers that nobody may come back to are deleted from the bucket and then from the journal, old history from
//! the database, in batches.

use std::time::{Duration, Instant};

use assay_core::env::Variables;
use assay_db::{
    Database,
    answers::OldAnswer,
    history::{ForgottenAttempts, HistoryCursor},
};
use assay_objects::Objects;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Answers per statement.
const BATCH: usize = 200;
/// Answers that cannot be deleted, after which a look ends: the bucket does not take it.
const PATIENCE: usize = 10 * BATCH;
/// Objects that are deleted at once.
const AT_ONCE: usize = 8;
/// Rows of history per statement.
const HISTORY_BATCH: usize = 1000;
/// What stays of the history is not looked at again for so long: it was the last of its job, and seldom ceases to be.
const HISTORY_ANEW: Duration = Duration::from_secs(24 * 3600);
/// A day, in seconds.
const DAY: u64 = 24 * 3600;

/// How long answers and history are kept.
#[derive(Clone, Debug)]
pub struct RetentionConfig {
    /// Whether the answers of a success go as soon as it is final.
    pub on_failure_only: bool,
    /// Age at which all others go.
    pub age: Duration,
    /// Age at which attempts of ended lives and results of shadows go.
    pub history: Duration,
    /// Time between two looks, jittered by a fifth.
    pub every: Duration,
}

impl RetentionConfig {
    /// Declares and reads its variables.
    pub fn load(vars: &mut Variables) -> Self {
        let what =
            vars.text("RETAIN_ANSWERS", "always", "which jobs' answers are kept for replay: always or on_failure");
        if !["always", "on_failure"].contains(&what.as_str()) {
            vars.fault("RETAIN_ANSWERS", format!("is {what:?}, but must be always or on_failure"));
        }
        let days: u32 = vars.number("RETAIN_ANSWERS_DAYS", 30, 1..=36_500, "days after which an answer is deleted");
        let history: u32 = vars.number(
            "RETAIN_HISTORY_DAYS",
            90,
            1..=36_500,
            "days after which attempts of ended lives and results of shadows are deleted; the last of each job stay",
        );
        Self {
            on_failure_only: what == "on_failure",
            age: Duration::from_secs(u64::from(days) * DAY),
            history: Duration::from_secs(u64::from(history) * DAY),
            every: vars.millis(
                "RETENTION_EVERY_MS",
                Duration::from_secs(60),
                "time between looks for answers and history that are to be deleted, ms",
            ),
        }
    }
}

/// How far the history was looked through.
struct History {
    place: HistoryCursor,
    /// When the looking began, so that it begins anew some day.
    began: Instant,
}

/// What deletes them.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Where the rows are.
    pub database: Database,
    /// Where the bytes are.
    pub objects: Objects,
    /// What is counted.
    pub metrics: Metrics,
    /// What stays.
    pub config: RetentionConfig,
}

impl Retention {
    /// Prunes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut history = History { place: HistoryCursor::START, began: Instant::now() };
        loop {
            let pause = self.config.every.mul_f64(rand::random_range(0.8..1.2));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.prune() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.forget(&mut history) => {}
            }
        }
    }

    /// Deletes all history that is due and that it has not passed over.
    async fn forget(&self, history: &mut History) {
        if history.began.elapsed() >= HISTORY_ANEW {
            *history = History { place: HistoryCursor::START, began: Instant::now() };
        }
        let (mut attempts, mut shadows) = (0, 0);
        loop {
            match self.database.forget_attempts(self.config.history, &history.place, HISTORY_BATCH).await {
                Ok(ForgottenAttempts { forgotten, next }) => {
                    attempts += forgotten;
                    let Some(next) = next else { break };
                    history.place = next;
                }
                Err(error) => return tracing::warn!(%error, "forget old attempts"),
            }
        }
        loop {
            match self.database.forget_shadows(self.config.history, HISTORY_BATCH).await {
                Ok(forgotten) => {
                    shadows += forgotten;
                    if forgotten < HISTORY_BATCH as u64 {
                        break;
                    }
                }
                Err(error) => return tracing::warn!(%error, "forget old results of shadows"),
            }
        }
        self.metrics.history_pruned.inc_by(attempts + shadows);
        if attempts + shadows > 0 {
            tracing::info!(attempts, shadows, "history pruned");
        }
    }

    /// Deletes everything that is due. An object that cannot be deleted keeps its row, and is tried again at the next look.
    async fn prune(&self) {
        let (mut pruned, mut stuck) = (0, 0);
        loop {
            let look = self.database.old_answers(self.config.age, self.config.on_failure_only, stuck, BATCH);
            let old = match look.await {
                Ok(old) => old,
                Err(error) => return tracing::warn!(%error, "look for answers to delete"),
            };
            let found = old.len();
            let gone = self.delete(old).await;
            stuck += found - gone.len();
            // The row last: as long as it is there, its object is found again.
            match self.database.forget_answers(&gone).await {
                Ok(forgotten) => pruned += forgotten,
                Err(error) => return tracing::warn!(%error, "forget deleted answers"),
            }
            if found < BATCH || stuck >= PATIENCE {
                break;
            }
        }
        self.metrics.answers_pruned.inc_by(pruned);
        if pruned > 0 {
            tracing::info!(answers = pruned, "answers pruned");
        }
    }

    /// Deletes objects, and gives back those that are gone.
    async fn delete(&self, old: Vec<OldAnswer>) -> Vec<OldAnswer> {
        let deleted = futures::stream::iter(old).map(|answer| async move {
            let deleted = self.objects.delete(&answer.bucket, &answer.key).await;
            deleted.map_err(|error| tracing::warn!(%error, object.key = answer.key, "delete an old answer")).ok()?;
            Some(answer)
        });
        let deleted: Vec<_> = deleted.buffer_unordered(AT_ONCE).collect().await;
        deleted.into_iter().flatten().collect()
    }
}
