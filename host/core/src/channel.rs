//! What a channel runs, and how that may change: plain data and pure rules. The database stores it under a lock.

use serde::{Deserialize, Serialize};

/// The releases of a channel, by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// What new jobs run on; none as long as `GUEST_DIR` serves the channel.
    pub active: Option<String>,
    /// What a share of them runs on instead.
    pub canary: Option<Canary>,
    /// What runs beside the active release, on the same answers, and writes nothing to the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
}

/// What a worker needs to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every channel.
    pub channels: Vec<(String, Channel)>,
    /// Prompt versions that waiting jobs name, with the oldest revision that is in service: publishing another changes
    /// nothing for them.
    pub versions: Vec<(String, String)>,
    /// Releases that serve no new jobs any more, wherever they lie.
    pub retired: Vec<String>,
    /// What live jobs have pinned.
    pub pinned: Vec<String>,
}

/// A release on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// sha256 of the component, lower hex.
    pub digest: String,
    /// Of new jobs, 1 to 99, by a hash of the file's id: a file has the same side in every life.
    pub percent: i32,
}

/// What an operator asks of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// New jobs run on this release; a canary beside the one before ends.
    Activate(String),
    /// A share of new jobs runs on this one; another canary ends, and a share of 0 ends this one.
    Canary(Canary),
    /// The canary becomes the active release.
    Promote,
    /// The canary of this digest ends: it does worse than the active release.
    Halt(String),
    /// This release runs in the shadow of the active one; none does without one.
    Shadow(Option<String>),
}

impl Change {
    /// The change as the audit names it.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Activate(_) => "activate",
            Self::Canary(_) => "canary",
            Self::Promote => "promote",
            Self::Halt(_) => "halt",
            Self::Shadow(_) => "shadow",
        }
    }
}

/// Why a channel stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing would be different.
    #[error("it is so already")]
    Already,
    /// A canary needs a release beside it.
    #[error("the channel has no active release; activate one first")]
    NoActive,
    /// A release cannot stand beside itself.
    #[error("this release is active; a canary or a shadow is another one")]
    SameAsActive,
    /// What halted would be started again by one word.
    #[error(
        "the last change halted the canary, and undoing that would start it again; activate the release that you want, or start \
         a canary"
    )]
    Halted,
    /// There is no canary to promote or to end.
    #[error("the channel has no canary")]
    NoCanary,
    /// Reports would have another schema from the next job on.
    #[error(
        "its schema version is {new}, and the active one has {active}; say --allow-schema-change if readers are ready for it"
    )]
    SchemaChange {
        /// Of the active release.
        active: String,
        /// Of the other.
        new: String,
    },
    /// There is no change left that could be undone.
    #[error("there is no change to undo")]
    NothingToUndo,
    /// A release that would come back serves nobody any more.
    #[error("{0} was retired; activate another release")]
    Retired(String),
}

impl Channel {
    /// The channel after a change.
    ///
    /// # Errors
    /// [`Refusal`] where the change makes no sense; schema versions are for the caller to compare, who knows them.
    pub fn changed(&self, change: &Change) -> Result<Self, Refusal> {
        let next = match change {
            Change::Activate(digest) => Self { active: Some(digest.clone()), canary: None, ..self.clone() },
            Change::Halt(digest) => match &self.canary {
                Some(running) if running.digest == *digest => Self { canary: None, ..self.clone() },
                _ => return Err(Refusal::NoCanary),
            },
            Change::Shadow(None) => Self { shadow: None, ..self.clone() },
            Change::Shadow(Some(shadow)) => match &self.active {
                None => return Err(Refusal::NoActive),
                Some(active) if active == shadow => return Err(Refusal::SameAsActive),
                Some(_) => Self { shadow: Some(shadow.clone()), ..self.clone() },
            },
            Change::Canary(canary) if canary.percent == 0 => match &self.canary {
                Some(running) if running.digest == canary.digest => Self { canary: None, ..self.clone() },
                _ => return Err(Refusal::NoCanary),
            },
            Change::Canary(canary) => match &self.active {
                None => return Err(Refusal::NoActive),
                Some(active) if *active == canary.digest => return Err(Refusal::SameAsActive),
                Some(_) => Self { canary: Some(canary.clone()), ..self.clone() },
            },
            Change::Promote => {
                let canary = self.canary.as_ref().ok_or(Refusal::NoCanary)?;
                Self { active: Some(canary.digest.clone()), canary: None, ..self.clone() }
            }
        };
        // What runs for everybody has nobody to be the shadow of.
        let next = Self { shadow: next.shadow.filter(|shadow| next.active.as_ref() != Some(shadow)), ..next };
        if next == *self { Err(Refusal::Already) } else { Ok(next) }
    }

    /// The releases that make reports.
    pub fn serving(&self) -> impl Iterator<Item = &str> {
        self.active.iter().chain(self.canary.iter().map(|canary| &canary.digest)).map(String::as_str)
    }

    /// Every release that it names.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.serving().chain(self.shadow.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(digest: &str, percent: i32) -> Canary {
        Canary { digest: digest.to_owned(), percent }
    }

    fn channel(active: Option<&str>, canary: Option<Canary>) -> Channel {
        Channel { active: active.map(str::to_owned), canary, shadow: None }
    }

    #[test]
    fn what_is_activated_runs_alone() {
        let before = channel(Some("a"), Some(canary("b", 5)));
        for digest in ["b", "c"] {
            let after = before.changed(&Change::Activate(digest.to_owned())).unwrap();
            assert_eq!(after, channel(Some(digest), None));
        }
        assert_eq!(before.changed(&Change::Activate("a".to_owned())).unwrap(), channel(Some("a"), None));
        let alone = channel(Some("a"), None);
        assert_eq!(alone.changed(&Change::Activate("a".to_owned())), Err(Refusal::Already));
    }

    #[test]
    fn a_canary_runs_beside_another_release_and_ends_with_a_share_of_nothing() {
        let alone = channel(Some("a"), None);
        let beside = alone.changed(&Change::Canary(canary("b", 5))).unwrap();
        assert_eq!(beside, channel(Some("a"), Some(canary("b", 5))));
        assert_eq!(beside.digests().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(beside.changed(&Change::Canary(canary("b", 50))).unwrap().canary, Some(canary("b", 50)));
        assert_eq!(beside.changed(&Change::Canary(canary("b", 0))).unwrap(), alone);
        assert_eq!(beside.changed(&Change::Canary(canary("c", 0))), Err(Refusal::NoCanary));
        assert_eq!(beside.changed(&Change::Canary(canary("b", 5))), Err(Refusal::Already));
        assert_eq!(alone.changed(&Change::Canary(canary("a", 5))), Err(Refusal::SameAsActive));
        assert_eq!(Channel::default().changed(&Change::Canary(canary("a", 5))), Err(Refusal::NoActive));
    }

    #[test]
    fn a_canary_halts_once_and_only_the_one_that_runs() {
        let beside = channel(Some("a"), Some(canary("b", 5)));
        let halted = beside.changed(&Change::Halt("b".to_owned())).unwrap();
        assert_eq!(halted, channel(Some("a"), None));
        assert_eq!(beside.changed(&Change::Halt("c".to_owned())), Err(Refusal::NoCanary));
        assert_eq!(halted.changed(&Change::Halt("b".to_owned())), Err(Refusal::NoCanary));
    }

    #[test]
    fn a_shadow_stays_through_changes_until_it_is_active_or_ended() {
        let shadow = |digest: &str| Change::Shadow(Some(digest.to_owned()));
        let beside = channel(Some("a"), None).changed(&shadow("s")).unwrap();
        assert_eq!(beside.digests().collect::<Vec<_>>(), ["a", "s"]);
        assert_eq!(beside.serving().collect::<Vec<_>>(), ["a"]);
        let exchanged = beside.changed(&Change::Activate("b".to_owned())).unwrap();
        assert_eq!(exchanged.shadow.as_deref(), Some("s"));
        let promoted = exchanged.changed(&Change::Canary(canary("s", 5))).unwrap().changed(&Change::Promote).unwrap();
        assert_eq!(promoted, channel(Some("s"), None));
        assert_eq!(beside.changed(&Change::Activate("s".to_owned())).unwrap(), channel(Some("s"), None));
        assert_eq!(beside.changed(&Change::Shadow(None)).unwrap(), channel(Some("a"), None));
        assert_eq!(beside.changed(&shadow("s")), Err(Refusal::Already));
        assert_eq!(beside.changed(&shadow("a")), Err(Refusal::SameAsActive));
        assert_eq!(channel(None, None).changed(&shadow("s")), Err(Refusal::NoActive));
        assert_eq!(channel(Some("a"), None).changed(&Change::Shadow(None)), Err(Refusal::Already));
    }

    #[test]
    fn a_promoted_canary_is_active() {
        let beside = channel(Some("a"), Some(canary("b", 5)));
        assert_eq!(beside.changed(&Change::Promote).unwrap(), channel(Some("b"), None));
        assert_eq!(channel(Some("a"), None).changed(&Change::Promote), Err(Refusal::NoCanary));
    }
}
