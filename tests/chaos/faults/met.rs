//! How often each fault was met: a fault that was never met has tested nothing.

use std::{collections::BTreeMap, fmt::Display, sync::Arc};

use assay_tests::DEADLINE;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{faults::model_trouble::ModelTrouble, slot::Slot};

/// How often each fault was met. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Met {
    counts: Arc<watch::Sender<BTreeMap<String, usize>>>,
    dealt: Arc<Mutex<Vec<Dealt>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A trouble that befell a question about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dealt {
    pub at: OffsetDateTime,
    pub slot: Slot,
    pub file: Uuid,
    /// What the journal knows the question by.
    pub question: Vec<u8>,
    pub trouble: ModelTrouble,
}

impl Met {
    /// Waits for a fault's turn, which lasts as long as what is returned: one that took longer than planned, because it was not met, is
    /// not ended by the next one.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Counts a fault as met so many times; 0 for one that has begun and was not met yet.
    pub fn count(&self, fault: &impl Display, times: usize) {
        self.counts.send_modify(|counts| *counts.entry(fault.to_string()).or_default() += times);
    }

    /// Writes down what befell a question.
    pub fn deal(&self, dealt: Dealt) {
        self.dealt.lock().push(dealt);
    }

    /// Returns everything that befell questions.
    pub fn dealt(&self) -> Vec<Dealt> {
        self.dealt.lock().clone()
    }

    /// Returns all faults that were begun, and how often each was met.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.counts.borrow().clone()
    }

    /// Waits until each of these was met in this run. After a deadline it is left to the verdict that one was not.
    pub async fn once(&self, faults: &[impl Display]) {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let mut counts = self.counts.subscribe();
        let met =
            counts.wait_for(|counts| faults.iter().all(|fault| counts.get(fault).is_some_and(|count| *count > 0)));
        let _ = tokio::time::timeout(DEADLINE, met).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_for_a_fault_ends_when_it_is_met_and_not_before() {
        let met = Met::default();
        met.count(&"one", 0);
        let waiting = tokio::spawn({
            let met = met.clone();
            async move { met.once(&["one", "two"]).await }
        });
        met.count(&"two", 1);
        assert!(!waiting.is_finished());
        met.count(&"one", 1);
        assay_tests::within("the end of the wait", waiting).await.unwrap();
        assert_eq!(met.counts(), [("one".to_owned(), 1), ("two".to_owned(), 1)].into());
    }
}
