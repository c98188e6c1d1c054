//! The jobs that a requeue is for, and a walk through them in batches.

use anyhow::Context;
use assay_db::DbError;
use uuid::Uuid;

/// Jobs of one statement.
pub const BATCH: usize = 500;

pub enum Choice<S> {
    /// Ids, each once. An empty list requeues nothing.
    Named(Vec<Uuid>),
    Selected(S),
}

impl<S> Choice<S> {
    pub fn is_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}

/// One page of a selection.
pub struct Page<T> {
    pub found: Vec<T>,
    /// The last id that the page looked at. `None` after the last page.
    pub last: Option<Uuid>,
}

/// Looks up jobs of one kind.
pub trait Source {
    type Selection;
    type Found;

    /// Returns what each id names, in the same order.
    async fn named(&self, ids: &[Uuid]) -> Result<Vec<Self::Found>, DbError>;

    /// Returns the selected jobs of the page after the id `after`.
    async fn page(&self, selection: &Self::Selection, after: Option<Uuid>) -> Result<Page<Self::Found>, DbError>;
}

/// A position in a choice.
pub struct Walk<'a, S: Source> {
    source: S,
    choice: &'a Choice<S::Selection>,
    /// Named ids that were looked up.
    named: usize,
    /// The last selected id that was looked at.
    after: Option<Uuid>,
    /// Found, and not yet returned.
    found: Vec<S::Found>,
}

impl<'a, S: Source> Walk<'a, S> {
    pub fn new(source: S, choice: &'a Choice<S::Selection>) -> Self {
        Self { source, choice, named: 0, after: None, found: Vec::new() }
    }

    /// Returns the next jobs, at most [`BATCH`]; an empty list at the end.
    pub async fn next(&mut self) -> anyhow::Result<Vec<S::Found>> {
        match self.choice {
            Choice::Named(ids) => {
                let batch = &ids[self.named..ids.len().min(self.named + BATCH)];
                self.named += batch.len();
                self.source.named(batch).await.context("look up the jobs")
            }
            Choice::Selected(selection) => {
                while self.found.is_empty() {
                    let page = self.source.page(selection, self.after).await.context("select the jobs")?;
                    let Some(last) = page.last else { return Ok(Vec::new()) };
                    (self.after, self.found) = (Some(last), page.found);
                }
                let rest = self.found.split_off(self.found.len().min(BATCH));
                Ok(std::mem::replace(&mut self.found, rest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds every even number from 1 to the limit, in pages of 1000 numbers.
    struct Even(u128);

    impl Source for Even {
        type Selection = ();
        type Found = u128;

        async fn named(&self, ids: &[Uuid]) -> Result<Vec<u128>, DbError> {
            Ok(ids.iter().map(Uuid::as_u128).collect())
        }

        async fn page(&self, (): &(), after: Option<Uuid>) -> Result<Page<u128>, DbError> {
            let first = after.map_or(0, |id| id.as_u128()) + 1;
            let last = self.0.min(first + 999);
            let found = (first..=last).filter(|number| number % 2 == 0).collect();
            Ok(Page { found, last: (first <= last).then(|| Uuid::from_u128(last)) })
        }
    }

    async fn batches(choice: Choice<()>, limit: u128) -> Vec<Vec<u128>> {
        let mut walk = Walk::new(Even(limit), &choice);
        let mut batches = Vec::new();
        loop {
            match walk.next().await.unwrap() {
                batch if batch.is_empty() => return batches,
                batch => batches.push(batch),
            }
        }
    }

    #[tokio::test]
    async fn a_walk_returns_each_job_once_in_batches() {
        for limit in [0, 1, 2, 999, 1000, 2001] {
            let batches = batches(Choice::Selected(()), limit).await;
            assert!(batches.iter().all(|batch| batch.len() <= BATCH));
            let expected: Vec<u128> = (1..=limit).filter(|number| number % 2 == 0).collect();
            assert_eq!(batches.concat(), expected, "{limit}");
        }
        let ids = (1..=1001).map(Uuid::from_u128).collect();
        let lengths: Vec<_> = batches(Choice::Named(ids), 0).await.iter().map(Vec::len).collect();
        assert_eq!(lengths, [500, 500, 1]);
        assert!(batches(Choice::Named(Vec::new()), 0).await.is_empty());
    }
}
