//! The releases that channels and workers run.

use anyhow::Context;
use assay_db::{
    Database,
    releases::{ChannelRow, ReleaseRow},
    workers::WorkerRow,
};

use crate::release::names;

#[derive(Debug)]
pub struct Fleet {
    pub channels: Vec<ChannelRow>,
    pub releases: Vec<ReleaseRow>,
    pub workers: Vec<WorkerRow>,
}

impl Fleet {
    pub async fn look(database: &Database) -> anyhow::Result<Self> {
        Ok(Self {
            channels: database.channels().await.context("list the channels")?,
            releases: database.releases().await.context("list the releases")?,
            workers: database.live_workers().await.context("list the workers")?,
        })
    }

    /// Returns what a new job of the channel runs on if it names no prompt version. `None` if it would wait.
    pub fn runs(&self, channel: &str) -> Option<String> {
        let row = self.channels.iter().find(|row| row.name == channel);
        if let Some(row) = row.filter(|row| row.runs.active.is_some()) {
            return Some(names::runs(&row.runs, &self.releases));
        }
        let loaded = self.workers.iter().flat_map(|worker| &worker.releases);
        let mut defaults: Vec<_> =
            loaded.filter(|release| release.is_default).map(|release| release.prompt_version.as_str()).collect();
        defaults.sort_unstable();
        defaults.dedup();
        (!defaults.is_empty()).then(|| format!("{} of GUEST_DIR", defaults.join(" or ")))
    }
}

#[cfg(test)]
pub mod tests {
    use assay_core::channel::Channel;
    use assay_db::workers::LoadedRelease;
    use time::OffsetDateTime;

    use super::*;

    fn worker(default: Option<&str>) -> WorkerRow {
        let release = |version: &str| LoadedRelease {
            prompt_version: version.to_owned(),
            is_default: true,
            ..LoadedRelease::default()
        };
        WorkerRow {
            id: "host-7".to_owned(),
            version: "0.1.0".to_owned(),
            started_at: OffsetDateTime::UNIX_EPOCH.into(),
            silent_seconds: 1.0,
            slots: 4,
            busy: 0,
            releases: default.map(release).into_iter().collect(),
            breakers: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// The channel `batch` has an active release; every other channel runs the default of two workers.
    pub fn fleet(default: Option<&str>) -> Fleet {
        let runs = Channel { active: Some("b".repeat(64)), ..Channel::default() };
        let at = OffsetDateTime::UNIX_EPOCH.into();
        Fleet {
            channels: vec![ChannelRow { name: "batch".to_owned(), runs, changed_at: at, canary_since: None }],
            releases: vec![names::tests::release("minutes-v2", 1, "b", false)],
            workers: vec![worker(default), worker(default)],
        }
    }
}
