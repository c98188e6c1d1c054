//! Through a listing of any length with a page of it in hand.

use assay_objects::ListedObject;
use futures::{StreamExt, stream::BoxStream};
use time::OffsetDateTime;

use super::classify::{Candidate, Classified, Tally, classify};

/// A listing, page by page: a bucket's, or in a test one that was made up.
pub(super) type Pages<E> = BoxStream<'static, Result<Vec<ListedObject>, E>>;

/// A walk under way. Besides a page and what it counts it holds nothing.
pub(super) struct Walk<E> {
    pages: Pages<E>,
    page: std::vec::IntoIter<ListedObject>,
    cutoff: OffsetDateTime,
    batch: usize,
    /// What was seen so far; verdicts are its owner's to add.
    pub tally: Tally,
}

impl<E> Walk<E> {
    /// Before the first page. Suspects come at most `batch` at a time.
    pub(super) fn new(pages: Pages<E>, cutoff: OffsetDateTime, batch: usize) -> Self {
        Self { pages, page: Vec::new().into_iter(), cutoff, batch, tally: Tally::default() }
    }

    /// The next suspects, none where a page had no more; nothing at the end of the listing.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Candidate>>, E> {
        if self.page.as_slice().is_empty() {
            let Some(page) = self.pages.next().await.transpose()? else { return Ok(None) };
            self.page = page.into_iter();
        }
        let mut suspects = Vec::new();
        for listed in self.page.by_ref() {
            self.tally.listed += 1;
            match classify(listed, self.cutoff) {
                Classified::Foreign => self.tally.foreign += 1,
                Classified::Young => self.tally.young += 1,
                Classified::Candidate(suspect) => suspects.push(suspect),
            }
            if suspects.len() == self.batch {
                break;
            }
        }
        Ok(Some(suspects))
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
    use crate::maintenance::orphans::classify::Verdict;

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
        let mut walk = Walk::new(listing(made.clone()), cutoff, 100);
        let (mut done, mut most) = (0, 0);
        while let Some(suspects) = walk.next().await.unwrap() {
            // What was made and is not behind the walk yet is what somebody holds: the page, the suspects at hand included.
            let held = made.load(Ordering::Relaxed) - done;
            most = most.max(held);
            assert!(suspects.len() <= 100 && walk.page.as_slice().len() < MAX_PAGE_OBJECTS);
            for suspect in suspects {
                walk.tally.add(&suspect.shape, Verdict::Orphan);
            }
            done = usize::try_from(walk.tally.listed).unwrap();
        }
        assert_eq!((done, most), (PAGES * MAX_PAGE_OBJECTS, MAX_PAGE_OBJECTS));
        let tenth = (PAGES * MAX_PAGE_OBJECTS / 10) as u64;
        let expected = Tally {
            listed: 10 * tenth,
            foreign: tenth,
            young: tenth,
            answers: tenth,
            runs: 7 * tenth,
            ..Tally::default()
        };
        assert_eq!(walk.tally, expected);
    }

    #[tokio::test]
    async fn a_page_that_fails_ends_the_walk_with_its_reason() {
        let pages = futures::stream::iter([Ok(Vec::new()), Err("no more")]).boxed();
        let mut walk = Walk::new(pages, OffsetDateTime::UNIX_EPOCH, 1);
        assert_eq!(walk.next().await, Ok(Some(Vec::new())));
        assert_eq!(walk.next().await, Err("no more"));
    }
}
