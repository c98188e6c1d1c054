//! What becomes of an object, as pure functions: of its key and age, and then of what rows say.

use assay_db::sweep::{ObjectQuery, References};
use assay_objects::Listed;
use serde::Serialize;
use time::OffsetDateTime;

use super::Shape;

/// An object that the database has to be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub key: String,
    pub shape: Shape,
}

/// What an object is by its key and age alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Classified {
    /// Not of Assay's shape.
    Foreign,
    /// Its row may be yet to come.
    Young,
    /// To be asked about.
    Candidate(Candidate),
}

/// What an object is by what rows say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A live job may come to need it.
    Live,
    /// A row points at it.
    Pointed,
    /// No row does.
    Orphan,
}

/// Sifts an object; one whose age nobody tells is young.
pub(super) fn classify(listed: Listed, cutoff: OffsetDateTime) -> Classified {
    match Shape::of(&listed.key) {
        None => Classified::Foreign,
        Some(shape) if listed.written_at.is_some_and(|at| at < cutoff) => {
            Classified::Candidate(Candidate { key: listed.key, shape })
        }
        Some(_) => Classified::Young,
    }
}

impl Candidate {
    /// What the database is asked.
    pub(super) fn asked(&self) -> ObjectQuery {
        let folder = match self.shape {
            Shape::Run(..) => self.key.rsplit_once('/').map(|(folder, _)| format!("{folder}/")),
            Shape::Upload(_) | Shape::Answer(..) => None,
        };
        ObjectQuery { key: self.key.clone(), file: self.shape.file(), job: self.shape.job(), folder }
    }
}

impl Verdict {
    /// Only what neither a live job nor a row keeps is an orphan.
    pub(super) const fn of(References { live, referenced }: References) -> Self {
        match (live, referenced) {
            (true, _) => Self::Live,
            (false, true) => Self::Pointed,
            (false, false) => Self::Orphan,
        }
    }
}

/// Objects, counted. It is `Copy`: whatever it counts, it holds none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All under `users/`.
    pub listed: u64,
    /// Not of Assay's shape.
    pub foreign: u64,
    /// Of Assay's shape, and too young to be judged.
    pub young: u64,
    /// Of a file whose job waits or runs.
    pub live: u64,
    /// Pointed at by a row.
    pub pointed: u64,
    /// Uploads that no row points at.
    pub uploads: u64,
    /// Answers that no row points at.
    pub answers: u64,
    /// Objects in folders of runs that no row points into.
    pub runs: u64,
}

impl Tally {
    /// Objects that no row points at.
    pub const fn orphans(&self) -> u64 {
        self.uploads + self.answers + self.runs
    }

    pub(super) fn add(&mut self, shape: &Shape, verdict: Verdict) {
        let count = match (verdict, shape) {
            (Verdict::Live, _) => &mut self.live,
            (Verdict::Pointed, _) => &mut self.pointed,
            (Verdict::Orphan, Shape::Upload(_)) => &mut self.uploads,
            (Verdict::Orphan, Shape::Answer(..)) => &mut self.answers,
            (Verdict::Orphan, Shape::Run(..)) => &mut self.runs,
        };
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    const CUTOFF: OffsetDateTime = datetime!(2026-03-04 09:30:00 UTC);

    fn run() -> String {
        let id = Uuid::from_u128(7);
        format!("users/{id}/files/{id}/runs/{id}-3/notes.json")
    }

    #[test]
    fn what_points_into_the_folder_of_a_run_points_at_all_of_it() {
        let Classified::Candidate(suspect) =
            classify(Listed { key: run(), written_at: Some(OffsetDateTime::UNIX_EPOCH) }, CUTOFF)
        else {
            panic!("an old object of a run is asked about")
        };
        let asked = suspect.asked();
        // With its slash: the run of token 3 is not that of token 31.
        assert_eq!(asked.folder.as_deref(), Some(run().strip_suffix("notes.json").unwrap()));
        assert_eq!(asked.job.unwrap().0, Uuid::from_u128(7));
    }

    #[test]
    fn an_object_whose_age_nobody_tells_is_young() {
        assert_eq!(classify(Listed { key: run(), written_at: None }, CUTOFF), Classified::Young);
    }

    proptest! {
        #[test]
        fn only_what_is_older_than_the_cutoff_is_asked_about(seconds in -100_000_i64..100_000) {
            let at = CUTOFF + time::Duration::seconds(seconds);
            let asked = matches!(classify(Listed { key: run(), written_at: Some(at) }, CUTOFF), Classified::Candidate(_));
            prop_assert_eq!(asked, seconds < 0);
        }

        #[test]
        fn what_is_not_of_our_shape_is_foreign_however_old(key in "users/[a-z0-9/.-]{0,80}") {
            let at = Some(OffsetDateTime::UNIX_EPOCH);
            prop_assert_eq!(classify(Listed { key, written_at: at }, CUTOFF), Classified::Foreign);
        }

        #[test]
        fn an_orphan_is_only_what_nothing_keeps(live: bool, pointed: bool) {
            prop_assert_eq!(Verdict::of(References { live, referenced: pointed }) == Verdict::Orphan, !live && !pointed);
        }
    }
}
