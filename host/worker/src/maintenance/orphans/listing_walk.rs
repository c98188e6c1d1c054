//! Walks a listing of any length with one page of it in memory.

use assay_objects::ListedObject;
use futures::{StreamExt, stream::BoxStream};
use time::OffsetDateTime;

use crate::maintenance::orphans::{
    classify::{Candidate, Classified, classify},
    object_counts::ObjectCounts,
};

/// The pages of a listing: a bucket's, or made up by a test.
pub(super) type Pages<E> = BoxStream<'static, Result<Vec<ListedObject>, E>>;

/// A walk through a listing. Holds one page and the counts.
pub(super) struct ListingWalk<E> {
    pages: Pages<E>,
    page: std::vec::IntoIter<ListedObject>,
    cutoff: OffsetDateTime,
    batch: usize,
    /// Counts so far. The owner adds the candidates, once it knows their use.
    pub counts: ObjectCounts,
}

impl<E> ListingWalk<E> {
    /// Starts before the first page. Returns at most `batch` candidates at a time.
    pub(super) fn new(pages: Pages<E>, cutoff: OffsetDateTime, batch: usize) -> Self {
        Self { pages, page: Vec::new().into_iter(), cutoff, batch, counts: ObjectCounts::default() }
    }

    /// Returns the next candidates, possibly empty at the end of a page; `None` at the end of the listing.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Candidate>>, E> {
        if self.page.as_slice().is_empty() {
            let Some(page) = self.pages.next().await.transpose()? else { return Ok(None) };
            self.page = page.into_iter();
        }
        let mut candidates = Vec::new();
        for listed in self.page.by_ref() {
            self.counts.listed += 1;
            match classify(listed, self.cutoff) {
                Classified::Foreign => self.counts.foreign += 1,
                Classified::Young => self.counts.young += 1,
                Classified::Candidate(candidate) => candidates.push(candidate),
            }
            if candidates.len() == self.batch {
                break;
            }
        }
        Ok(Some(candidates))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use assay_objects::MAX_PAGE_OBJECTS;
    use uuid::Uuid;

    use super::*;
    use crate::maintenance::orphans::classify::ObjectUse;

    const PAGES: usize = 2000;

    /// Two million keys, made when they are asked for: of ten objects seven are runs, one is an answer, one foreign, one young.
    fn listing(made: Arc<AtomicUsize>) -> Pages<Infallible> {
        let pages = (0..PAGES).map(move |page| {
            made.fetch_add(MAX_PAGE_OBJECTS, Ordering::Relaxed);
            let listed = (0..MAX_PAGE_OBJECTS).map(|place| {
                let id = Uuid::from_u128((page * MAX_PAGE_OBJECTS + place) as u128);
                let folder = format!("users/{id}/files/{id}");
                let key = match place % 10 {
                    0 => format!("{folder}/answers/{id}/0-1.json"),
                    1 => format!("{folder}/thumbnail.png"),
                    _ => format!("{folder}/runs/{id}-1/report.json"),
                };
                let written_at = if place % 10 == 2 {
                    OffsetDateTime::UNIX_EPOCH + time::Duration::DAY
                } else {
                    OffsetDateTime::UNIX_EPOCH
                };
                ListedObject { key, written_at: Some(written_at) }
            });
            Ok(listed.collect())
        });
        futures::stream::iter(pages).boxed()
    }

    #[tokio::test]
    async fn two_million_keys_go_through_a_page_of_memory() {
        let made = Arc::<AtomicUsize>::default();
        let cutoff = OffsetDateTime::UNIX_EPOCH + time::Duration::HOUR;
        let mut walk = ListingWalk::new(listing(made.clone()), cutoff, 100);
        let (mut done, mut most) = (0, 0);
        while let Some(candidates) = walk.next().await.unwrap() {
            // Keys made but not yet counted are in memory: the page, with the candidates.
            let held = made.load(Ordering::Relaxed) - done;
            most = most.max(held);
            assert!(candidates.len() <= 100 && walk.page.as_slice().len() < MAX_PAGE_OBJECTS);
            for candidate in candidates {
                walk.counts.add(&candidate.parsed, ObjectUse::Orphan);
            }
            done = usize::try_from(walk.counts.listed).unwrap();
        }
        assert_eq!((done, most), (PAGES * MAX_PAGE_OBJECTS, MAX_PAGE_OBJECTS));
        let tenth = (PAGES * MAX_PAGE_OBJECTS / 10) as u64;
        let expected = ObjectCounts {
            listed: 10 * tenth,
            foreign: tenth,
            young: tenth,
            answers: tenth,
            runs: 7 * tenth,
            ..ObjectCounts::default()
        };
        assert_eq!(walk.counts, expected);
    }

    #[tokio::test]
    async fn a_failed_page_ends_the_walk_with_its_reason() {
        let pages = futures::stream::iter([Ok(Vec::new()), Err("no more")]).boxed();
        let mut walk = ListingWalk::new(pages, OffsetDateTime::UNIX_EPOCH, 1);
        assert_eq!(walk.next().await, Ok(Some(Vec::new())));
        assert_eq!(walk.next().await, Err("no more"));
    }
}
