//! Counts of a sweep, as `assay sweep --json` prints them.

use assay_core::object_keys::ParsedKey;
use serde::Serialize;

use crate::maintenance::orphans::classify::ObjectUse;

/// How many objects of each kind a walk has seen. `Copy`, so it can hold no keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectCounts {
    /// All objects under `users/`.
    pub listed: u64,
    /// Keys that Assay does not make.
    pub foreign: u64,
    /// Objects whose row may not be written yet.
    pub young: u64,
    /// Objects of a file whose job waits or runs.
    pub live: u64,
    /// Objects that a row points at.
    pub pointed: u64,
    /// Uploads that no row points at.
    pub uploads: u64,
    /// Answers that no row points at.
    pub answers: u64,
    /// Objects in folders of runs that no row points into.
    pub runs: u64,
}

impl ObjectCounts {
    pub const fn orphans(&self) -> u64 {
        self.uploads + self.answers + self.runs
    }

    pub(super) fn add(&mut self, parsed: &ParsedKey, object_use: ObjectUse) {
        let count = match (object_use, parsed) {
            (ObjectUse::LiveJob, _) => &mut self.live,
            (ObjectUse::Referenced, _) => &mut self.pointed,
            (ObjectUse::Orphan, ParsedKey::Upload(_)) => &mut self.uploads,
            (ObjectUse::Orphan, ParsedKey::Answer(..)) => &mut self.answers,
            (ObjectUse::Orphan, ParsedKey::Run(..)) => &mut self.runs,
        };
        *count += 1;
    }
}
