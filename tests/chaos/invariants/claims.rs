//! Who held which job, and when, by what the audit wrote down.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    evidence::{Change, Evidence},
    ledger::Asked,
    slot::Slot,
};

/// The claims of a run.
pub struct Claims<'a> {
    pub jobs: BTreeMap<Uuid, Uuid>,
    /// The changes of a job, the first one first.
    pub changes: BTreeMap<Uuid, Vec<&'a Change>>,
}

impl<'a> Claims<'a> {
    /// Returns all of them.
    pub fn of(evidence: &'a Evidence) -> Self {
        Self { jobs: evidence.job_of(), changes: evidence.changes_of() }
    }

    /// Returns the last change before a time.
    fn before(&self, job: Uuid, at: OffsetDateTime) -> Option<&'a Change> {
        self.changes.get(&job)?.iter().rev().find(|change| change.at <= at).copied()
    }

    /// Returns the life that a job was in.
    pub fn life(&self, job: Uuid, at: OffsetDateTime) -> i32 {
        self.before(job, at).map_or(1, |change| change.life)
    }

    /// Returns the token under which a worker held a job; none where it did not.
    pub fn token(&self, job: Uuid, slot: Slot, at: OffsetDateTime) -> Option<i64> {
        let change = self.before(job, at)?;
        change.holder_to.as_deref().is_some_and(|holder| is_of(holder, slot)).then_some(change.token)
    }

    /// Returns the number of the stall in which the claim behind a call was lost.
    pub fn woke(&self, evidence: &Evidence, job: Uuid, call: &Asked) -> Option<usize> {
        let lost = |from, to| {
            let changes = self.changes.get(&job).into_iter().flatten();
            changes
                .filter(|change| change.holder_from.as_deref().is_some_and(|holder| is_of(holder, call.slot)))
                .any(|change| change.status_from == "processing" && (from..=to).contains(&change.at))
        };
        if self.token(job, call.slot, call.at).is_some() {
            return None;
        }
        // The last one before the call: what woke up earlier has noticed.
        let stall = evidence.stalls.iter().rposition(|stall| stall.slot == call.slot && stall.to <= call.at)?;
        lost(evidence.stalls[stall].from, evidence.stalls[stall].to).then_some(stall)
    }
}

/// Returns whether the worker of this name is in that place.
pub fn is_of(holder: &str, slot: Slot) -> bool {
    holder.strip_prefix('w').and_then(|rest| rest.split_once('-')).is_some_and(|(number, _)| number == slot.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w1_is_not_w12() {
        assert!(is_of("w1-7-a", 1) && !is_of("w12-7-a", 1) && !is_of("host-7-a", 1));
    }
}
