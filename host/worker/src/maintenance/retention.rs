//! Retention: deletes old answers from the bucket and then from the journal, and old history from the database, in batches.

use std::{
    collections::HashSet,
    fmt,
    time::{Duration, Instant},
};

use assay_core::env::Variables;
use assay_db::{Database, DbError, Refused, answers::OldAnswer, history::HistoryCursor};
use assay_objects::Objects;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::{maintenance::every::every, metrics::Metrics};

/// Answers per statement.
const ANSWER_BATCH: usize = 200;
/// Failed deletions after which a round ends: the bucket or the database refuses them all.
const MAX_FAILED_DELETIONS: usize = 10 * ANSWER_BATCH;
/// Objects deleted at the same time.
const PARALLEL_DELETIONS: usize = 8;
/// Rows of history per statement.
const HISTORY_BATCH: usize = 1000;
/// Rows that are named at most, so that the memory for them is bounded.
const MAX_NAMED_ROWS: usize = 10_000;
/// Time between two scans of the whole history. A row that stays is the last of its job, and seldom ceases to be.
const HISTORY_RESCAN_PERIOD: Duration = Duration::from_secs(24 * 3600);
const SECONDS_PER_DAY: u64 = 24 * 3600;

/// How long answers and history are kept.
#[derive(Clone, Debug)]
pub struct RetentionConfig {
    /// Whether the answers of a successful job are deleted as soon as it ends.
    pub on_failure_only: bool,
    /// Age at which all other answers are deleted.
    pub age: Duration,
    /// Age at which attempts before a requeue and results of shadows are deleted.
    pub history: Duration,
    pub period: Duration,
}

impl RetentionConfig {
    /// Declares and reads the variables of retention.
    pub fn load(vars: &mut Variables) -> Self {
        let what =
            vars.text("RETAIN_ANSWERS", "always", "which jobs' answers are kept for replay: always or on_failure");
        if !["always", "on_failure"].contains(&what.as_str()) {
            vars.invalid("RETAIN_ANSWERS", &what, "expected always or on_failure");
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
            age: Duration::from_secs(u64::from(days) * SECONDS_PER_DAY),
            history: Duration::from_secs(u64::from(history) * SECONDS_PER_DAY),
            period: vars.millis(
                "RETENTION_EVERY_MS",
                Duration::from_secs(60),
                "time between looks for answers and history that are to be deleted, ms",
            ),
        }
    }
}

/// How far the history was scanned.
struct HistoryScan {
    place: HistoryCursor,
    started: Instant,
}

impl HistoryScan {
    fn start() -> Self {
        Self { place: HistoryCursor::START, started: Instant::now() }
    }
}

/// Rows that were named already because the database refuses to delete them.
#[derive(Debug, Default)]
struct RefusedRows(HashSet<String>);

impl RefusedRows {
    /// Names a row, once.
    fn name(&mut self, table: &'static str, row: impl fmt::Display, sqlstate: &str) {
        let row = row.to_string();
        if self.0.len() < MAX_NAMED_ROWS && self.0.insert(format!("{table} {row}")) {
            tracing::error!(
                event = "row_refused",
                table,
                row,
                sqlstate,
                "the database refuses to delete an old row; other rows go on"
            );
        }
    }
}

/// Deletes answers and history by age.
#[derive(Clone, Debug)]
pub struct Retention {
    pub database: Database,
    pub objects: Objects,
    pub metrics: Metrics,
    pub config: RetentionConfig,
}

impl Retention {
    /// Prunes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (mut scan, mut refused) = (HistoryScan::start(), RefusedRows::default());
        let mut rounds = every(self.config.period, &stop);
        while rounds.next().await {
            rounds.run(self.prune_answers(&mut refused)).await;
            rounds.run(self.prune_history(&mut scan, &mut refused)).await;
        }
    }

    async fn prune_history(&self, scan: &mut HistoryScan, refused: &mut RefusedRows) {
        if scan.started.elapsed() >= HISTORY_RESCAN_PERIOD {
            *scan = HistoryScan::start();
        }
        let attempts = match self.prune_attempts(scan, refused).await {
            Ok(attempts) => attempts,
            Err(error) => return tracing::warn!(%error, "deletion of old attempts failed"),
        };
        let shadows = match self.prune_shadows(refused).await {
            Ok(shadows) => shadows,
            Err(error) => return tracing::warn!(%error, "deletion of old shadow results failed"),
        };
        self.metrics.history_pruned.inc_by(attempts + shadows);
        if attempts + shadows > 0 {
            tracing::info!(attempts, shadows, "history pruned");
        }
    }

    /// Deletes old attempts behind the place of the scan. Returns how many.
    async fn prune_attempts(&self, scan: &mut HistoryScan, refused: &mut RefusedRows) -> Result<u64, DbError> {
        let mut pruned = 0;
        loop {
            let look = self.database.forget_attempts(self.config.history, &scan.place, HISTORY_BATCH).await?;
            pruned += look.forgotten;
            for Refused { row, sqlstate } in &look.refused {
                refused.name("job_attempts", format_args!("{} {}", row.job, row.token), sqlstate);
            }
            let Some(next) = look.next else { return Ok(pruned) };
            scan.place = next;
        }
    }

    /// Deletes old results of shadows. Returns how many.
    async fn prune_shadows(&self, refused: &mut RefusedRows) -> Result<u64, DbError> {
        let (mut pruned, mut stuck) = (0, 0);
        loop {
            let look = self.database.forget_shadows(self.config.history, stuck, HISTORY_BATCH).await?;
            for Refused { row, sqlstate } in &look.refused {
                refused.name("release_shadows", format_args!("{} {}", row.digest, row.file), sqlstate);
            }
            pruned += look.forgotten;
            stuck += look.refused.len();
            let found = look.forgotten + look.refused.len() as u64;
            if found < HISTORY_BATCH as u64 || stuck >= MAX_FAILED_DELETIONS {
                return Ok(pruned);
            }
        }
    }

    /// Deletes old answers. An object that cannot be deleted keeps its row, and the next round tries again; so does a row that
    /// the database refuses to delete.
    async fn prune_answers(&self, refused: &mut RefusedRows) {
        let (mut pruned, mut failed) = (0, 0);
        loop {
            let look = self.database.old_answers(self.config.age, self.config.on_failure_only, failed, ANSWER_BATCH);
            let old = match look.await {
                Ok(old) => old,
                Err(error) => return tracing::warn!(%error, "search for old answers failed"),
            };
            let found = old.len();
            let gone = self.delete(old).await;
            failed += found - gone.len();
            // The row last: a later round finds the object through it.
            match self.database.forget_answers(&gone).await {
                Ok(look) => {
                    for Refused { row, sqlstate } in &look.refused {
                        refused.name("job_answers", row.job, sqlstate);
                    }
                    pruned += look.forgotten;
                    failed += look.refused.len();
                }
                Err(error) => return tracing::warn!(%error, "deletion of journal rows failed"),
            }
            if found < ANSWER_BATCH || failed >= MAX_FAILED_DELETIONS {
                break;
            }
        }
        self.metrics.answers_pruned.inc_by(pruned);
        if pruned > 0 {
            tracing::info!(answers = pruned, "answers pruned");
        }
    }

    /// Deletes objects. Returns the answers whose object is gone.
    async fn delete(&self, old: Vec<OldAnswer>) -> Vec<OldAnswer> {
        let deleted = futures::stream::iter(old).map(|answer| async move {
            let deleted = self.objects.delete(&answer.bucket, &answer.key).await;
            deleted
                .map_err(|error| tracing::warn!(%error, object.key = answer.key, "deletion of an old answer failed"))
                .ok()?;
            Some(answer)
        });
        let deleted: Vec<_> = deleted.buffer_unordered(PARALLEL_DELETIONS).collect().await;
        deleted.into_iter().flatten().collect()
    }
}
