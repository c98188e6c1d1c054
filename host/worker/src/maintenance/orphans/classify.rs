//! What an object is: first by its key and age, then by the rows that point at it. Pure functions.

use assay_core::object_keys::ParsedKey;
use assay_db::sweep::{ObjectQuery, References};
use assay_objects::ListedObject;
use time::OffsetDateTime;

/// An object that may be an orphan; the database decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub key: String,
    pub parsed: ParsedKey,
}

/// The class of an object by its key and age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Classified {
    /// Assay makes no such key.
    Foreign,
    /// Its row may not be written yet.
    Young,
    Candidate(Candidate),
}

/// What uses an object, by the rows of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectUse {
    /// A live job may need it later.
    LiveJob,
    /// A row points at it.
    Referenced,
    Orphan,
}

/// Classifies an object; an object without an age counts as young.
pub(super) fn classify(listed: ListedObject, cutoff: OffsetDateTime) -> Classified {
    match ParsedKey::parse(&listed.key) {
        None => Classified::Foreign,
        Some(parsed) if listed.written_at.is_some_and(|at| at < cutoff) => {
            Classified::Candidate(Candidate { key: listed.key, parsed })
        }
        Some(_) => Classified::Young,
    }
}

impl Candidate {
    /// Returns the question for the database. Artifacts of one run are asked about as one folder.
    pub(super) fn asked(&self) -> ObjectQuery {
        let folder = match self.parsed {
            ParsedKey::Run(..) => self.key.rsplit_once('/').map(|(folder, _)| format!("{folder}/")),
            ParsedKey::Upload(_) | ParsedKey::Answer(..) => None,
        };
        ObjectQuery { key: self.key.clone(), file: self.parsed.file(), job: self.parsed.job(), folder }
    }
}

impl ObjectUse {
    pub(super) const fn of(References { live, referenced }: References) -> Self {
        match (live, referenced) {
            (true, _) => Self::LiveJob,
            (false, true) => Self::Referenced,
            (false, false) => Self::Orphan,
        }
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
    fn a_row_that_points_into_a_run_folder_keeps_all_of_it() {
        let Classified::Candidate(candidate) =
            classify(ListedObject { key: run(), written_at: Some(OffsetDateTime::UNIX_EPOCH) }, CUTOFF)
        else {
            panic!("an old object of a run is a candidate")
        };
        let asked = candidate.asked();
        // With the final slash: the run of token 3 is not the run of token 31.
        assert_eq!(asked.folder.as_deref(), Some(run().strip_suffix("notes.json").unwrap()));
        assert_eq!(asked.job.unwrap().0, Uuid::from_u128(7));
    }

    #[test]
    fn an_object_without_an_age_is_young() {
        assert_eq!(classify(ListedObject { key: run(), written_at: None }, CUTOFF), Classified::Young);
    }

    proptest! {
        #[test]
        fn only_objects_older_than_the_cutoff_are_candidates(seconds in -100_000_i64..100_000) {
            let at = CUTOFF + time::Duration::seconds(seconds);
            let asked = matches!(classify(ListedObject { key: run(), written_at: Some(at) }, CUTOFF), Classified::Candidate(_));
            prop_assert_eq!(asked, seconds < 0);
        }

        #[test]
        fn an_old_object_of_another_shape_is_foreign(key in "users/[a-z0-9/.-]{0,80}") {
            let at = Some(OffsetDateTime::UNIX_EPOCH);
            prop_assert_eq!(classify(ListedObject { key, written_at: at }, CUTOFF), Classified::Foreign);
        }

        #[test]
        fn only_an_object_that_nothing_keeps_is_an_orphan(live: bool, pointed: bool) {
            prop_assert_eq!(ObjectUse::of(References { live, referenced: pointed }) == ObjectUse::Orphan, !live && !pointed);
        }
    }
}
