//! What a rerun tells: the files by what made their reports, what they would run on, and which of them stay.

use std::collections::BTreeMap;

use assay_db::{
    releases::{ChannelRow, ReleaseRow},
    succeeded::SucceededFile,
    workers::WorkerRow,
};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{output, release};

/// Files with one prompt version in one channel.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Group {
    /// What made their reports.
    pub prompt_version: Option<String>,
    /// Where their jobs run.
    pub channel: String,
    /// How many they are.
    pub files: u64,
    /// What new jobs run on there; none where they would wait.
    pub runs_on: Option<String>,
}

/// A file that stays as it is.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    /// The file.
    pub file_id: Uuid,
    /// Why.
    pub reason: String,
}

impl Refused {
    /// Why a file that was named cannot be rerun.
    pub(super) fn of(candidate: &SucceededFile) -> Self {
        let reason = match (candidate.status.as_deref(), &candidate.channel) {
            (None, _) => "there is no such file",
            (Some(_), None) => "it was never enqueued; a rerun is for files that succeeded",
            (Some("queued"), _) => "it waits to run already",
            (Some("processing"), _) => "it runs already",
            (Some("failed"), _) => {
                "it failed; a rerun is for files that succeeded, and `assay jobs retry` for those that failed"
            }
            (Some("succeeded"), _) if candidate.eligible => "somebody else was changing it; name it again",
            (Some("succeeded"), _) => "its report was made after this command began",
            (Some(_), _) => "it has not succeeded",
        };
        Self { file_id: candidate.file, reason: reason.to_owned() }
    }
}

/// What a rerun did, or would do.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Files with a new life; of a dry run, those that would have one.
    pub files: u64,
    /// When the last of the new lives can begin.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_begins_at: Option<OffsetDateTime>,
    /// The files that were found, before the first was renewed.
    pub groups: Vec<Group>,
    /// Named files that stay as they are.
    pub refused: Vec<Refused>,
    /// Selected files that somebody else has changed meanwhile, and that stay.
    pub changed_meanwhile: u64,
}

impl Outcome {
    /// The files in a table, and what happens to them in one line.
    pub(super) fn told(&self) -> String {
        let mut text = String::new();
        if !self.groups.is_empty() {
            let row = |group: &Group| {
                vec![
                    group.files.to_string(),
                    group.prompt_version.clone().unwrap_or_else(|| "-".to_owned()),
                    group.channel.clone(),
                    group.runs_on.clone().unwrap_or_else(|| "NOTHING: they would wait".to_owned()),
                ]
            };
            let rows = self.groups.iter().map(row).collect();
            text += &output::table(&["FILES", "PROMPT VERSION", "CHANNEL", "NEW JOBS RUN ON"], rows, &[0]);
            text.push('\n');
        }
        let files = counted(self.files);
        let last = self.last_begins_at.map(output::instant);
        text += &match (self.dry_run, last) {
            (_, None) => "no file gets a new life\n".to_owned(),
            (true, Some(last)) => {
                format!("{files} would get a new life, the last would begin at {last}; nothing was changed\n")
            }
            (false, Some(last)) => {
                let verb = if self.files == 1 { "gets" } else { "get" };
                format!("{files} {verb} a new life; the last begins at {last}\n")
            }
        };
        if self.changed_meanwhile > 0 {
            text += &format!("left alone, because somebody else was faster: {}\n", counted(self.changed_meanwhile));
        }
        text
    }
}

fn counted(files: u64) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// Counts files by what made their reports, and by channel.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(String, Option<String>), u64>);

impl Tally {
    pub(super) fn add(&mut self, candidate: &SucceededFile) {
        let channel = candidate.channel.clone().unwrap_or_default();
        *self.0.entry((channel, candidate.prompt_version.clone())).or_default() += 1;
    }

    pub(super) fn files(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn groups(self, fleet: &Fleet) -> Vec<Group> {
        let group = |((channel, prompt_version), files): ((String, _), _)| {
            let runs_on = fleet.runs(&channel);
            Group { prompt_version, channel, files, runs_on }
        };
        self.0.into_iter().map(group).collect()
    }
}

/// What decides what jobs run on.
#[derive(Debug)]
pub(super) struct Fleet {
    pub channels: Vec<ChannelRow>,
    pub releases: Vec<ReleaseRow>,
    pub workers: Vec<WorkerRow>,
}

impl Fleet {
    /// What a new job of the channel runs on that names no prompt version; none where there is nothing.
    fn runs(&self, channel: &str) -> Option<String> {
        let row = self.channels.iter().find(|row| row.name == channel);
        if let Some(row) = row.filter(|row| row.runs.active.is_some()) {
            return Some(release::runs(&row.runs, &self.releases));
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
mod tests {
    use assay_core::channel::Channel;
    use assay_db::workers::LoadedRelease;
    use time::macros::datetime;

    use super::*;

    fn candidate(version: &str, channel: &str) -> SucceededFile {
        SucceededFile {
            file: Uuid::nil(),
            status: Some("succeeded".to_owned()),
            eligible: true,
            prompt_version: Some(version.to_owned()),
            channel: Some(channel.to_owned()),
        }
    }

    fn worker(default: Option<&str>) -> WorkerRow {
        let release = |version: &str| LoadedRelease {
            prompt_version: version.to_owned(),
            is_default: true,
            ..LoadedRelease::default()
        };
        WorkerRow {
            id: "host-7".to_owned(),
            version: "0.1.0".to_owned(),
            started_at: OffsetDateTime::UNIX_EPOCH,
            silent_seconds: 1.0,
            slots: 4,
            busy: 0,
            releases: default.map(release).into_iter().collect(),
            breakers: Vec::new(),
        }
    }

    fn fleet(default: Option<&str>) -> Fleet {
        let runs = Channel { active: Some("b".repeat(64)), ..Channel::default() };
        let at = OffsetDateTime::UNIX_EPOCH;
        Fleet {
            channels: vec![ChannelRow { name: "batch".to_owned(), runs, changed_at: at, canary_since: None }],
            releases: vec![release::tests::release("minutes-v2", 1, "b", false)],
            workers: vec![worker(default), worker(default)],
        }
    }

    fn outcome(default: Option<&str>, dry_run: bool) -> Outcome {
        let mut tally = Tally::default();
        for candidate in [candidate("minutes-v1", "default"), candidate("minutes-v1", "batch")] {
            tally.add(&candidate);
            tally.add(&candidate);
        }
        tally.add(&candidate("minutes-v0", "default"));
        Outcome {
            dry_run,
            files: tally.files(),
            last_begins_at: Some(datetime!(2026-03-04 09:30:00 UTC)),
            groups: tally.groups(&fleet(default)),
            ..Outcome::default()
        }
    }

    #[test]
    fn files_are_told_by_prompt_version_with_what_they_would_run_on() {
        insta::assert_snapshot!(outcome(Some("minutes-v1"), true).told(), @r"
        FILES  PROMPT VERSION  CHANNEL  NEW JOBS RUN ON
            2  minutes-v1      batch    minutes-v2@1
            1  minutes-v0      default  minutes-v1 of GUEST_DIR
            2  minutes-v1      default  minutes-v1 of GUEST_DIR

        5 files would get a new life, the last would begin at 2026-03-04 09:30:00 UTC; nothing was changed
        ");
    }

    #[test]
    fn files_that_would_wait_are_told_of() {
        let outcome = Outcome { changed_meanwhile: 1, ..outcome(None, false) };
        insta::assert_snapshot!(outcome.told(), @r"
        FILES  PROMPT VERSION  CHANNEL  NEW JOBS RUN ON
            2  minutes-v1      batch    minutes-v2@1
            1  minutes-v0      default  NOTHING: they would wait
            2  minutes-v1      default  NOTHING: they would wait

        5 files get a new life; the last begins at 2026-03-04 09:30:00 UTC
        left alone, because somebody else was faster: 1 file
        ");
    }

    #[test]
    fn where_nothing_is_found_nothing_is_said_to_change() {
        assert_eq!(Outcome::default().told(), "no file gets a new life\n");
    }

    #[test]
    fn every_file_that_stays_has_its_reason() {
        let reason = |status: Option<&str>, channel: Option<&str>, eligible: bool| {
            let (status, channel) = (status.map(str::to_owned), channel.map(str::to_owned));
            Refused::of(&SucceededFile { status, channel, eligible, ..candidate("minutes-v1", "default") }).reason
        };
        let reasons = [
            reason(None, None, false),
            reason(Some("uploaded"), None, false),
            reason(Some("queued"), Some("default"), false),
            reason(Some("processing"), Some("default"), false),
            reason(Some("failed"), Some("default"), false),
            reason(Some("succeeded"), Some("default"), false),
            reason(Some("succeeded"), Some("default"), true),
        ];
        insta::assert_snapshot!(reasons.join("\n"), @r"
        there is no such file
        it was never enqueued; a rerun is for files that succeeded
        it waits to run already
        it runs already
        it failed; a rerun is for files that succeeded, and `assay jobs retry` for those that failed
        its report was made after this command began
        somebody else was changing it; name it again
        ");
    }
}
