//! Forgetting answers: what nobody may come back to is deleted from the bucket and then from the journal, in batches.

use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::{
    db::{Database, answers::OldAnswer},
    metrics::Metrics,
    objects::Objects,
    variables::Variables,
};

/// Answers per statement.
const BATCH: usize = 200;
/// Answers that cannot be deleted, after which a look ends: the bucket does not take it.
const PATIENCE: usize = 10 * BATCH;
/// Objects that are deleted at once.
const AT_ONCE: usize = 8;

/// How long answers are kept.
#[derive(Clone, Debug)]
pub struct RetentionConfig {
    /// Whether the answers of a success go as soon as it is final.
    pub on_failure_only: bool,
    /// Age at which all others go.
    pub age: Duration,
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
        Self {
            on_failure_only: what == "on_failure",
            age: Duration::from_secs(u64::from(days) * 24 * 3600),
            every: vars.millis(
                "RETENTION_EVERY_MS",
                Duration::from_secs(60),
                "time between looks for answers that are to be deleted, ms",
            ),
        }
    }
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
