//! What channels run on this worker: the plan of the operator, as far as it is loaded here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use assay_core::{channel::Channel, serving::ServedChannel};

use crate::guests::release::Release;

/// The channels in which a release was activated.
#[derive(Default)]
pub(super) struct Channels {
    /// A channel without an active release waits for another worker: no release of it was ever loaded here.
    running: BTreeMap<String, Channel>,
    /// Published prompt versions that waiting jobs name, with the digest that serves them.
    pub(super) versions: Vec<(String, String)>,
    /// Whether a plan was followed before. From then on, a file of `GUEST_DIR` goes on serving a channel until a release of the
    /// channel is loaded.
    followed: bool,
}

impl Channels {
    /// Takes over what is wanted, as far as it is loaded. Returns the channels that changed. A release that does not load
    /// replaces no loaded one.
    pub(super) fn follow(
        &mut self,
        wanted: &[(String, Channel)],
        is_loaded: impl Fn(&str) -> bool,
    ) -> Vec<(String, Channel)> {
        let mut next = BTreeMap::new();
        for (name, wanted) in wanted {
            let Some(active) = &wanted.active else { continue };
            let before = self.running.get(name);
            if is_loaded(active) {
                let canary = wanted.canary.clone().filter(|canary| is_loaded(&canary.digest));
                let shadow = wanted.shadow.clone().filter(|shadow| is_loaded(shadow));
                next.insert(name.clone(), Channel { active: Some(active.clone()), canary, shadow });
            } else if let Some(before) = before {
                // A canary that the operator ended ends in any case.
                let canary = before.canary.clone().filter(|canary| wanted.canary.as_ref() == Some(canary));
                // A shadow is compared with the wanted active release, which is not loaded.
                next.insert(name.clone(), Channel { active: before.active.clone(), canary, shadow: None });
            } else if !self.followed {
                next.insert(name.clone(), Channel::default());
            }
        }
        self.followed = true;
        let ended = self.running.keys().filter(|name| !next.contains_key(*name));
        let ended: Vec<_> = ended.map(|name| (name.clone(), Channel::default())).collect();
        let changed = next.iter().filter(|(name, channel)| self.running.get(*name) != Some(channel));
        let changed = changed.map(|(name, channel)| (name.clone(), channel.clone())).chain(ended).collect();
        self.running = next;
        changed
    }

    /// Returns every digest that serves a channel or a published prompt version.
    pub(super) fn digests(&self) -> impl Iterator<Item = &str> {
        let versions = self.versions.iter().map(|(_, digest)| digest.as_str());
        self.running.values().flat_map(Channel::digests).chain(versions)
    }

    /// Returns the candidate in the shadow of a channel's active release.
    pub(super) fn shadow_of(&self, channel: &str, active: &str) -> Option<&str> {
        let running = self.running.get(channel)?;
        running.shadow.as_deref().filter(|_| running.active.as_deref() == Some(active))
    }

    /// Returns the channels that run a release.
    pub(super) fn that_run(&self, digest: &str) -> Vec<String> {
        let run = self.running.iter().filter(|(_, channel)| channel.digests().any(|other| other == digest));
        run.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn serving(&self, releases: &HashMap<String, Arc<Release>>) -> Vec<ServedChannel> {
        let version = |digest: &String| releases.get(digest).map(|release| release.manifest().prompt_version.clone());
        let served = self.running.iter().map(|(name, channel)| ServedChannel {
            name: name.clone(),
            active: channel.active.clone(),
            version: channel.active.as_ref().and_then(version),
            canary: channel.canary.as_ref().map(|canary| (canary.digest.clone(), canary.percent)),
        });
        served.collect()
    }
}

#[cfg(test)]
mod tests {
    use assay_core::channel::Canary;

    use super::*;

    fn wanted(active: &str, canary: Option<&str>) -> Vec<(String, Channel)> {
        let canary = canary.map(|digest| Canary { digest: digest.to_owned(), percent: 5 });
        vec![("default".to_owned(), Channel { active: Some(active.to_owned()), canary, shadow: None })]
    }

    #[test]
    fn a_channel_runs_what_is_wanted_and_reports_a_change_once() {
        let mut channels = Channels::default();
        assert_eq!(channels.follow(&wanted("a", Some("b")), |_| true), wanted("a", Some("b")));
        assert_eq!(channels.follow(&wanted("a", Some("b")), |_| true), []);
        assert_eq!(channels.digests().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(channels.that_run("b"), ["default"]);
        let ended = vec![("default".to_owned(), Channel::default())];
        assert_eq!(channels.follow(&[], |_| true), ended);
        assert_eq!(channels.digests().count(), 0);
    }

    #[test]
    fn a_shadow_belongs_to_the_active_release_alone() {
        let mut channels = Channels::default();
        let mut wanted = wanted("a", Some("b"));
        wanted[0].1.shadow = Some("s".to_owned());
        channels.follow(&wanted, |digest| digest != "s");
        assert_eq!(channels.shadow_of("default", "a"), None, "it is not loaded");
        channels.follow(&wanted, |_| true);
        assert_eq!(channels.shadow_of("default", "a"), Some("s"));
        assert_eq!(channels.shadow_of("default", "b"), None);
        assert_eq!(channels.shadow_of("other", "a"), None);
        wanted[0].1.active = Some("c".to_owned());
        channels.follow(&wanted, |digest| digest != "c");
        assert_eq!(channels.shadow_of("default", "a"), None, "the operator compares it with another one");
    }

    #[test]
    fn a_release_that_does_not_load_replaces_no_loaded_one() {
        let mut channels = Channels::default();
        channels.follow(&wanted("a", None), |_| true);
        assert_eq!(channels.follow(&wanted("b", None), |digest| digest == "a"), []);
        assert_eq!(channels.that_run("a"), ["default"]);
        assert_eq!(channels.follow(&wanted("b", Some("c")), |digest| digest == "b"), wanted("b", None));
        channels.follow(&wanted("b", Some("c")), |_| true);
        assert_eq!(
            channels.follow(&wanted("d", None), |digest| digest != "d"),
            wanted("b", None),
            "its canary was ended"
        );
    }

    #[test]
    fn a_channel_without_a_loaded_release_waits_unless_a_file_serves() {
        let mut fresh = Channels::default();
        assert_eq!(fresh.follow(&wanted("a", None), |_| false), [("default".to_owned(), Channel::default())]);
        assert_eq!(fresh.serving(&HashMap::new()), [ServedChannel { name: "default".into(), ..Default::default() }]);
        let mut serving_a_file = Channels::default();
        serving_a_file.follow(&[], |_| true);
        assert_eq!(serving_a_file.follow(&wanted("a", None), |_| false), []);
        assert_eq!(serving_a_file.serving(&HashMap::new()), []);
    }
}
