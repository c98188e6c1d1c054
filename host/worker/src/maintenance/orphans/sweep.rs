//! One sweep: walk the listing, classify, ask the database again, delete.

use std::time::Duration;

use assay_core::object_keys::FILES_PREFIX;
use assay_db::Database;
use assay_objects::{MAX_PAGE_OBJECTS, Objects};
use futures::{StreamExt, TryStreamExt};
use time::OffsetDateTime;

use crate::{
    maintenance::orphans::{
        classify::{Candidate, ObjectUse},
        error::SweepError,
        listing_walk::{ListingWalk, Pages},
        marker::Marker,
        object_counts::ObjectCounts,
    },
    metrics::Metrics,
};

/// Age at which an object without a row will never get one.
pub const MIN_AGE: Duration = Duration::from_secs(24 * 3600);
/// Largest share of the objects under `users/` that one sweep deletes, in percent.
pub const MAX_ORPHAN_PERCENT: u8 = 5;
/// Largest difference between the clocks of the store and of the database.
const CLOCK_SKEW: Duration = Duration::from_secs(600);
/// Objects that the database checks together, right before their deletion.
const DELETION_BATCH: usize = 100;
/// Deletions at the same time.
const PARALLEL_DELETIONS: usize = 8;
/// Failed deletions that end a sweep.
const MAX_FAILED_DELETIONS: u64 = 100;

/// What a sweep may do.
#[derive(Clone, Copy, Debug)]
pub struct SweepOptions {
    /// Least age of an object by the database's clock; ten minutes are added for clocks that differ.
    pub older_than: Duration,
    /// Largest share of the objects under `users/`, in percent. With more orphans, none is deleted.
    pub max_percent: u8,
    pub delete: bool,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self { older_than: MIN_AGE, max_percent: MAX_ORPHAN_PERCENT, delete: false }
    }
}

/// The progress of a sweep.
#[derive(Debug)]
pub enum SweepProgress<'a> {
    /// A batch of the listing was counted.
    Counted(&'a ObjectCounts),
    /// The key of an orphan, found while counting.
    Orphan(&'a str),
    /// Objects deleted so far, and orphans that were counted before.
    Deleted(u64, u64),
}

/// Receives the progress of a sweep.
pub type SweepObserver = dyn Fn(SweepProgress<'_>) + Send + Sync;

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default)]
pub struct SweepSummary {
    pub found: ObjectCounts,
    pub deleted: u64,
    /// Objects that could not be deleted; each was logged.
    pub failed: u64,
    /// Whether there are more orphans than one sweep may delete.
    pub too_many: bool,
}

/// Sweeps the configured bucket.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub database: Database,
    pub objects: Objects,
    pub metrics: Metrics,
    pub options: SweepOptions,
}

impl Sweep {
    /// Counts orphans, and deletes them if the options say so.
    ///
    /// # Errors
    /// [`SweepError`]. All variants but [`SweepError::Grew`], [`SweepError::Objects`] and [`SweepError::Database`] mean that nothing was deleted.
    pub async fn run(&self, observer: &SweepObserver) -> Result<SweepSummary, SweepError> {
        self.check_marker().await?;
        let now = self.database.clock().await?;
        let cutoff = now - self.options.older_than - CLOCK_SKEW;
        let found = self.count(cutoff, observer).await?;
        let orphans = found.orphans();
        self.metrics.unpointed.set(i64::try_from(orphans).unwrap_or(i64::MAX));
        let max_deletions = found.listed * u64::from(self.options.max_percent) / 100;
        let swept = SweepSummary { found, too_many: orphans > max_deletions, ..SweepSummary::default() };
        if !self.options.delete || orphans == 0 {
            return Ok(swept);
        }
        if swept.too_many {
            return Err(SweepError::TooMany { orphans, listed: found.listed, percent: self.options.max_percent });
        }
        // Counting may have taken hours; the marker may have changed.
        self.check_marker().await?;
        self.delete(cutoff, max_deletions, swept, observer).await
    }

    /// Checks that the bucket belongs to this database.
    async fn check_marker(&self) -> Result<(), SweepError> {
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

    async fn count(&self, cutoff: OffsetDateTime, observer: &SweepObserver) -> Result<ObjectCounts, SweepError> {
        let mut walk = ListingWalk::new(self.pages(), cutoff, MAX_PAGE_OBJECTS);
        while let Some(candidates) = walk.next().await? {
            for (candidate, object_use) in self.judge(candidates).await? {
                walk.counts.add(&candidate.parsed, object_use);
                if object_use == ObjectUse::Orphan {
                    observer(SweepProgress::Orphan(&candidate.key));
                }
            }
            observer(SweepProgress::Counted(&walk.counts));
        }
        Ok(walk.counts)
    }

    /// Walks the bucket again, and never deletes more than `max_deletions`.
    async fn delete(
        &self,
        cutoff: OffsetDateTime,
        max_deletions: u64,
        mut swept: SweepSummary,
        observer: &SweepObserver,
    ) -> Result<SweepSummary, SweepError> {
        let counted = swept.found.orphans();
        let mut walk = ListingWalk::new(self.pages(), cutoff, DELETION_BATCH);
        while let Some(candidates) = walk.next().await? {
            let judged = self.judge(candidates).await?;
            let orphans: Vec<_> = judged
                .into_iter()
                .filter_map(|(candidate, object_use)| (object_use == ObjectUse::Orphan).then_some(candidate))
                .collect();
            if swept.deleted + swept.failed + orphans.len() as u64 > max_deletions {
                return Err(SweepError::Grew { deleted: swept.deleted, percent: self.options.max_percent });
            }
            self.delete_all(orphans, &mut swept).await?;
            observer(SweepProgress::Deleted(swept.deleted, counted));
        }
        Ok(swept)
    }

    /// Deletes orphans that were judged a moment ago, and logs each.
    async fn delete_all(&self, orphans: Vec<Candidate>, swept: &mut SweepSummary) -> Result<(), SweepError> {
        let deleting = futures::stream::iter(orphans).map(|orphan| async move {
            let done = self.objects.delete(self.objects.bucket(), &orphan.key).await;
            (orphan, done)
        });
        let mut deleting = deleting.buffer_unordered(PARALLEL_DELETIONS);
        while let Some((orphan, done)) = deleting.next().await {
            let (file, what) = (orphan.parsed.file(), orphan.parsed.as_str());
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
                    tracing::warn!(%error, object.key = orphan.key, file.id = %file, what, "deletion of an orphan failed");
                    if swept.failed >= MAX_FAILED_DELETIONS {
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks the database about candidates, in one query.
    async fn judge(&self, candidates: Vec<Candidate>) -> Result<Vec<(Candidate, ObjectUse)>, SweepError> {
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> = candidates.iter().map(Candidate::asked).collect();
        let answers = self.database.references(&asked).await?;
        Ok(candidates.into_iter().zip(answers.into_iter().map(ObjectUse::of)).collect())
    }

    /// Returns the pages of the listing, each requested when it is polled.
    fn pages(&self) -> Pages<SweepError> {
        let objects = self.objects.clone();
        let pages = futures::stream::try_unfold((true, None), move |(more, next): (bool, Option<String>)| {
            let objects = objects.clone();
            async move {
                if !more {
                    return Ok(None);
                }
                let page = objects.list(objects.bucket(), FILES_PREFIX, next.as_deref()).await?;
                Ok(Some((page.objects, (page.next.is_some(), page.next))))
            }
        });
        pages.map_err(SweepError::Objects).boxed()
    }
}
