//! What a channel runs, and the rules of its changes. The database changes a channel under a lock.

use serde::{Deserialize, Serialize};

/// The releases of a channel, by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The release for new jobs; `None` while `GUEST_DIR` serves the channel.
    pub active: Option<String>,
    /// The release for a share of new jobs.
    pub canary: Option<Canary>,
    /// A release that runs beside the active one, on the same answers, and writes nothing to the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
}

/// The releases that a worker needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub channels: Vec<(String, Channel)>,
    /// Prompt versions that waiting jobs name, with the oldest revision in service. A newer revision changes nothing for them.
    pub versions: Vec<(String, String)>,
    /// Releases that serve no new jobs any more, in any channel or folder.
    pub retired: Vec<String>,
    /// Digests that live jobs have pinned.
    pub pinned: Vec<String>,
}

/// A release that serves a share of new jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// sha256 of the component, lower hex.
    pub digest: String,
    /// Share of new jobs, 1 to 99, by a hash of the file's id: a requeued file stays on its side.
    pub percent: i32,
}

/// A change of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Runs new jobs on this release; ends a canary.
    Activate(String),
    /// Runs a share of new jobs on this release; ends another canary. A share of 0 ends this one.
    Canary(Canary),
    /// Makes the canary the active release.
    Promote,
    /// Ends the canary of this digest, because it does worse than the active release.
    Halt(String),
    /// Runs this release as the shadow of the active one; `None` ends the shadow.
    Shadow(Option<String>),
}

impl Change {
    /// Returns the change as the audit names it.
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

/// Why a change of a channel is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("nothing would change")]
    Already,
    #[error("the channel has no active release; activate one first")]
    NoActive,
    #[error("this release is active: expected another release as canary or shadow")]
    SameAsActive,
    /// Undoing the halt would start the halted canary again.
    #[error(
        "the last change halted the canary, and undoing that would start it again; activate the release that you want, or start \
         a canary"
    )]
    Halted,
    #[error("the channel has no canary")]
    NoCanary,
    /// From the next job on, reports would have another schema.
    #[error(
        "its schema version is {new}, the active release has {active}; if readers are ready, add --allow-schema-change"
    )]
    SchemaChange { active: String, new: String },
    #[error("there is no change to undo")]
    NothingToUndo,
    /// The change would activate a retired release.
    #[error("{0} was retired; activate another release")]
    Retired(String),
}

impl Channel {
    /// Returns the channel after a change. The caller compares schema versions.
    ///
    /// # Errors
    /// Returns a [`Refusal`] where the change is not possible.
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
        // An active release cannot be its own shadow.
        let next = Self { shadow: next.shadow.filter(|shadow| next.active.as_ref() != Some(shadow)), ..next };
        if next == *self { Err(Refusal::Already) } else { Ok(next) }
    }

    /// Returns the releases that make reports.
    pub fn serving(&self) -> impl Iterator<Item = &str> {
        self.active.iter().chain(self.canary.iter().map(|canary| &canary.digest)).map(String::as_str)
    }

    /// Returns every release of the channel.
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
    fn an_activated_release_runs_alone() {
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
    fn a_canary_runs_beside_another_release_and_ends_at_0_percent() {
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
    fn only_the_running_canary_halts_and_only_once() {
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
