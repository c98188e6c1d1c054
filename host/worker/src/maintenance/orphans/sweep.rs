//! One sweep: walk the listing, decide, ask the database once more, delete.

use std::time::Duration;

use assay_db::Database;
use assay_objects::{Objects, PAGE};
use futures::{StreamExt, TryStreamExt};
use time::OffsetDateTime;

use super::{
    classify::{Candidate, Tally, Verdict},
    error::SweepError,
    marker::Marker,
    walk::{Pages, Walk},
};
use crate::metrics::Metrics;

/// Where Assay's objects lie; nothing else is listed.
const PREFIX: &str = "users/";
/// The age at which an object without a row is taken for one that will never have one.
pub const OLDER_THAN: Duration = Duration::from_secs(24 * 3600);
/// Of the objects under `users/`, in percent: more are not deleted.
pub const MAX_PERCENT: u8 = 5;
/// How far the clocks of the store and of the database may be apart.
const SKEW: Duration = Duration::from_secs(600);
/// Objects that are asked about right before they are deleted, together.
const BATCH: usize = 100;
/// Deletions at the same time.
const AT_ONCE: usize = 8;
/// Deletions that may fail before the sweep is given up.
const MOST_FAILURES: u64 = 100;

/// What a sweep may do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The age that objects must have by the database's clock, besides ten minutes for clocks that differ.
    pub older_than: Duration,
    /// Of the objects under `users/`, in percent: where more are to be deleted, none is.
    pub max_percent: u8,
    /// Whether anything is deleted.
    pub delete: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { older_than: OLDER_THAN, max_percent: MAX_PERCENT, delete: false }
    }
}

/// What is told while a sweep goes on.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A part of the listing was counted.
    Counted(&'a Tally),
    /// An object that no row points at, while counting.
    Orphan(&'a str),
    /// So many were deleted, of so many that were counted.
    Deleted(u64, u64),
}

/// Who is told.
pub type Watcher = dyn Fn(Seen<'_>) + Send + Sync;

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Swept {
    /// What was counted.
    pub found: Tally,
    /// Objects that were deleted.
    pub deleted: u64,
    /// Objects that could not be deleted; each was told of.
    pub failed: u64,
    /// Whether there are more without a row than may be deleted at once.
    pub too_many: bool,
}

/// What sweeps the configured bucket.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Where the rows are.
    pub database: Database,
    /// Where the objects are.
    pub objects: Objects,
    /// What is counted.
    pub metrics: Metrics,
    /// What it may do.
    pub plan: Plan,
}

impl Sweep {
    /// Counts, and deletes where the plan says so.
    ///
    /// # Errors
    /// [`SweepError`]. All but [`SweepError::Grew`], [`SweepError::Objects`] and [`SweepError::Database`] say that nothing was deleted.
    pub async fn run(&self, watcher: &Watcher) -> Result<Swept, SweepError> {
        self.is_ours().await?;
        let now = self.database.clock().await?;
        let cutoff = now - self.plan.older_than - SKEW;
        let found = self.count(cutoff, watcher).await?;
        let orphans = found.orphans();
        self.metrics.unpointed.set(i64::try_from(orphans).unwrap_or(i64::MAX));
        let most = found.listed * u64::from(self.plan.max_percent) / 100;
        let swept = Swept { found, too_many: orphans > most, ..Swept::default() };
        if !self.plan.delete || orphans == 0 {
            return Ok(swept);
        }
        if swept.too_many {
            return Err(SweepError::TooMany { orphans, listed: found.listed, percent: self.plan.max_percent });
        }
        // Counting may have taken hours.
        self.is_ours().await?;
        self.delete(cutoff, most, swept, watcher).await
    }

    /// Whose bucket it is.
    async fn is_ours(&self) -> Result<(), SweepError> {
        let database = self.database.installation().await?;
        match Marker::read(&self.objects).await? {
            Some(marker) if marker.database == database => Ok(()),
            Some(marker) => Err(SweepError::NotOurs { bucket: self.bucket(), other: marker.database, database }),
            None => Err(SweepError::NotMarked { bucket: self.bucket() }),
        }
    }

    fn bucket(&self) -> String {
        self.objects.bucket().to_owned()
    }

    async fn count(&self, cutoff: OffsetDateTime, watcher: &Watcher) -> Result<Tally, SweepError> {
        let mut walk = Walk::new(self.pages(), cutoff, PAGE);
        while let Some(suspects) = walk.next().await? {
            for (suspect, verdict) in self.judge(suspects).await? {
                walk.tally.add(&suspect.shape, verdict);
                if verdict == Verdict::Orphan {
                    watcher(Seen::Orphan(&suspect.key));
                }
            }
            watcher(Seen::Counted(&walk.tally));
        }
        Ok(walk.tally)
    }

    /// Goes through the bucket once more, and never deletes more than `most`.
    async fn delete(
        &self,
        cutoff: OffsetDateTime,
        most: u64,
        mut swept: Swept,
        watcher: &Watcher,
    ) -> Result<Swept, SweepError> {
        let counted = swept.found.orphans();
        let mut walk = Walk::new(self.pages(), cutoff, BATCH);
        while let Some(suspects) = walk.next().await? {
            let judged = self.judge(suspects).await?;
            let orphans: Vec<_> = judged
                .into_iter()
                .filter_map(|(suspect, verdict)| (verdict == Verdict::Orphan).then_some(suspect))
                .collect();
            if swept.deleted + swept.failed + orphans.len() as u64 > most {
                return Err(SweepError::Grew { deleted: swept.deleted, percent: self.plan.max_percent });
            }
            self.delete_all(orphans, &mut swept).await?;
            watcher(Seen::Deleted(swept.deleted, counted));
        }
        Ok(swept)
    }

    /// Deletes what was judged a moment ago, and tells of each.
    async fn delete_all(&self, orphans: Vec<Candidate>, swept: &mut Swept) -> Result<(), SweepError> {
        let deleting = futures::stream::iter(orphans).map(|orphan| async move {
            let done = self.objects.delete(self.objects.bucket(), &orphan.key).await;
            (orphan, done)
        });
        let mut deleting = deleting.buffer_unordered(AT_ONCE);
        while let Some((orphan, done)) = deleting.next().await {
            let (file, what) = (orphan.shape.file(), orphan.shape.as_str());
            match done {
                Ok(()) => {
                    swept.deleted += 1;
                    self.metrics.swept.inc();
                    tracing::info!(
                        event = "object_swept",
                        object.key = orphan.key,
                        file.id = %file,
                        what,
                        "deleted an object that no row points at"
                    );
                }
                Err(error) => {
                    swept.failed += 1;
                    tracing::warn!(%error, object.key = orphan.key, file.id = %file, what, "delete an object that no row points at");
                    if swept.failed >= MOST_FAILURES {
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks the database about objects, all at once.
    async fn judge(&self, suspects: Vec<Candidate>) -> Result<Vec<(Candidate, Verdict)>, SweepError> {
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> = suspects.iter().map(Candidate::asked).collect();
        let told = self.database.references(&asked).await?;
        Ok(suspects.into_iter().zip(told.into_iter().map(Verdict::of)).collect())
    }

    /// The listing, page by page; the next one is asked for when it is wanted.
    fn pages(&self) -> Pages<SweepError> {
        let objects = self.objects.clone();
        let pages = futures::stream::try_unfold((true, None), move |(more, next): (bool, Option<String>)| {
            let objects = objects.clone();
            async move {
                if !more {
                    return Ok(None);
                }
                let page = objects.list(objects.bucket(), PREFIX, next.as_deref()).await?;
                Ok(Some((page.objects, (page.next.is_some(), page.next))))
            }
        });
        pages.map_err(SweepError::Objects).boxed()
    }
}
