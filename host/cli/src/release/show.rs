//! `assay release list` and `show`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context;
use assay_core::{release_stats::ReleaseStats, report_diff::Difference};
use assay_db::{
    Database, DbError, StoredTime,
    releases::{ChangeRow, ChannelRow, ReleaseRow, ShadowTally},
    workers::WorkerRow,
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    database,
    exit::Failure,
    output::{self, UNREADABLE},
    release::names::{find, name, name_of, runs},
};

const MAX_SHOWN_CHANGES: i64 = 50;
/// For each result of a shadow.
const MAX_SHOWN_POINTERS: i64 = 5;

/// Show all releases, what the channels run, and which workers have loaded which release.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release list
  assay release list --json | jq '.channels'")]
pub struct List {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Show the results of a release, as a shadow and on jobs, and its history.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release show minutes-v2
  assay release show 0123456789ab --json")]
pub struct Show {
    /// The release
    #[arg(value_name = "VERSION")]
    release: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct CountedStats {
    digest: String,
    /// `None` for all channels.
    channel: Option<String>,
    /// The start of the channel's canary. `None` counts from the first attempt.
    #[serde(with = "time::serde::rfc3339::option")]
    since: Option<OffsetDateTime>,
    #[serde(flatten)]
    figures: ReleaseStats,
}

#[derive(Debug, Serialize)]
struct ReleaseList {
    channels: Vec<ChannelRow>,
    releases: Vec<ReleaseRow>,
    workers: Vec<WorkerRow>,
}

#[derive(Debug, Serialize)]
struct ReleaseView {
    #[serde(flatten)]
    release: ReleaseRow,
    /// All of the release; for a canary also its numbers and those of the active release since it began.
    counted: Vec<CountedStats>,
    shadow: Vec<ShadowTally>,
    changes: Vec<ChangeRow>,
}

pub async fn list(arguments: &List, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let database = database::open_from(values).await?;
    let overview = ReleaseList {
        channels: database.channels().await.context("list the channels")?,
        releases: database.releases().await.context("list the releases")?,
        workers: database.live_workers().await.context("list the workers")?,
    };
    if arguments.json {
        output::print_json(&overview)?;
    } else {
        output::print(&render_list(&overview))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn show(arguments: &Show, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let database = database::open_from(values).await?;
    let releases = database.releases().await.context("list the releases")?;
    let release = find(&releases, &arguments.release)?.clone();
    let changes = database.release_changes(Some(&release.digest), MAX_SHOWN_CHANGES).await.context("read the audit")?;
    let counted = counted(&database, &release.digest).await.context("count the attempts")?;
    let shadow =
        database.shadow_tally(&release.digest, MAX_SHOWN_POINTERS).await.context("read the results of the shadow")?;
    let view = ReleaseView { release, counted, shadow, changes };
    if arguments.json {
        output::print_json(&view)?;
    } else {
        output::print(&render_release(&view, &releases))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts the attempts of a release; for a canary also those of the active release.
async fn counted(database: &Database, digest: &str) -> Result<Vec<CountedStats>, DbError> {
    let count = async |digest: &str, channel: Option<&str>, since| {
        let figures = database.release_stats(digest, channel, since).await?;
        Ok::<_, DbError>(CountedStats {
            digest: digest.to_owned(),
            channel: channel.map(str::to_owned),
            since,
            figures,
        })
    };
    let mut counted = vec![count(digest, None, None).await?];
    for channel in database.channels().await? {
        let is_canary = channel.runs.canary.as_ref().is_some_and(|canary| canary.digest == digest);
        let Some(active) = channel.runs.active.as_deref().filter(|_| is_canary) else { continue };
        for digest in [digest, active] {
            counted.push(count(digest, Some(&channel.name), channel.canary_since.and_then(StoredTime::at)).await?);
        }
    }
    Ok(counted)
}

fn render_list(overview: &ReleaseList) -> String {
    let ReleaseList { channels, releases, workers } = overview;
    if releases.is_empty() {
        return "Nothing is published: channels run what GUEST_DIR serves.\n".to_owned();
    }
    let rows = channels.iter().map(|channel| vec![channel.name.clone(), runs(&channel.runs, releases)]).collect();
    let mut text = output::table(&["CHANNEL", "NEW JOBS RUN ON"], rows, &[]);
    text.push('\n');
    let rows = releases.iter().map(|release| {
        let mut has: Vec<String> = Vec::new();
        for worker in workers {
            if worker.unreadable.contains(&WorkerRow::RELEASES) {
                has.push(format!("{} {UNREADABLE}", worker.id));
            }
            let entry = worker.releases.iter().find(|loaded| loaded.digest == release.digest);
            match entry.map(|entry| &entry.refused) {
                None => {}
                Some(None) => has.push(worker.id.clone()),
                Some(Some(reason)) => has.push(format!("{} load failed: {}", worker.id, output::plain(reason))),
            }
        }
        let state = if release.retired_at.is_some() { "retired" } else { "in service" };
        let size = format!("{:.1} MB", release.size_bytes as f64 / 1e6);
        let digest = release.digest.get(..12).unwrap_or(&release.digest).to_owned();
        vec![name(release), release.schema_version.clone(), digest, size, state.to_owned(), has.join(", ")]
    });
    text.push_str(&output::table(
        &["RELEASE", "SCHEMA", "SHA256", "SIZE", "STATE", "WORKERS THAT HAVE IT"],
        rows.collect(),
        &[],
    ));
    text
}

fn render_release(view: &ReleaseView, releases: &[ReleaseRow]) -> String {
    let ReleaseView { release, counted, shadow, changes } = view;
    let mut text = format!(
        "{}\nsha256:{}\nschema {}, {:.1} MB, made by {}, published {} by {}\n",
        name(release),
        release.digest,
        release.schema_version,
        release.size_bytes as f64 / 1e6,
        release.toolchain.as_deref().unwrap_or("an unknown compiler"),
        release.published_at.rfc3339(),
        output::plain(&release.published_by),
    );
    if let Some(retired) = &release.retired_at {
        text.push_str(&format!("retired {}\n", retired.rfc3339()));
    }
    text.push('\n');
    text.push_str(&figures(counted, releases));
    if !shadow.is_empty() {
        text.push('\n');
        text.push_str(&tally(shadow));
    }
    let rows = changes.iter().map(|change| {
        let of = |digest: &Option<String>| {
            digest.as_ref().map_or_else(|| "-".to_owned(), |digest| name_of(releases, digest))
        };
        vec![
            change.at.rfc3339(),
            output::plain(&change.actor),
            change.action.clone(),
            change.channel.clone().unwrap_or_else(|| "-".to_owned()),
            of(&change.digest_from),
            of(&change.digest_to),
            output::plain(&change.reason),
        ]
    });
    text.push('\n');
    text.push_str(&output::table(&["AT", "BY", "ACTION", "CHANNEL", "FROM", "TO", "WHY"], rows.collect(), &[]));
    text
}

fn figures(counted: &[CountedStats], releases: &[ReleaseRow]) -> String {
    let rows = counted.iter().map(|CountedStats { digest, channel, since, figures }| {
        let place = match (channel, since) {
            (Some(channel), Some(since)) => {
                format!("{channel}, since its canary began {}", StoredTime::from(*since).rfc3339())
            }
            (Some(channel), None) => channel.clone(),
            (None, _) => "all channels".to_owned(),
        };
        let per_job = figures.guest_micros as f64 / 1e3 / figures.jobs.max(1) as f64;
        vec![
            name_of(releases, digest),
            place,
            figures.jobs.to_string(),
            format!("{} ({:.1} %)", figures.rejections, figures.rejection_percent()),
            format!("{} ({:.1} %)", figures.faults, figures.fault_percent()),
            figures.retries.to_string(),
            format!("{} + {}", figures.tokens_in, figures.tokens_out),
            format!("{per_job:.1} ms"),
        ]
    });
    let head = ["RELEASE", "WHERE", "JOBS", "REJECTED", "FAULTS", "RETRIES", "TOKENS IN + OUT", "GUEST TIME PER JOB"];
    output::table(&head, rows.collect(), &[])
}

fn tally(shadow: &[ShadowTally]) -> String {
    let of = |word: &&str| shadow.iter().find(|tally| tally.result == *word);
    let files: i64 = shadow.iter().map(|tally| tally.files).sum();
    let rows = Difference::NAMES.iter().filter_map(of).map(|tally| {
        let most: Vec<_> =
            tally.most.iter().map(|(place, files)| format!("{} ({files})", output::plain(place))).collect();
        let percent = 100.0 * tally.files as f64 / files.max(1) as f64;
        vec![tally.result.replace('_', " "), format!("{} ({percent:.1} %)", tally.files), most.join(", ")]
    });
    output::table(&["IN THE SHADOW", "FILES", "MOST OFTEN"], rows.collect(), &[])
}

#[cfg(test)]
mod tests {
    use assay_core::channel::{Canary, Channel};
    use assay_db::workers::LoadedRelease;
    use time::macros::datetime;

    use super::*;
    use crate::release::names::tests::release;

    fn worker(id: &str, digest: &str, refused: Option<&str>) -> WorkerRow {
        let refused = refused.map(str::to_owned);
        let loaded = LoadedRelease { digest: digest.repeat(64), refused, ..LoadedRelease::default() };
        WorkerRow {
            id: id.to_owned(),
            version: "0.1.0".to_owned(),
            started_at: datetime!(2026-03-04 08:00:00 UTC).into(),
            silent_seconds: 2.9,
            slots: 16,
            busy: 1,
            releases: vec![loaded],
            breakers: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    #[test]
    fn the_list_shows_what_channels_run_and_which_worker_has_what() {
        let canary = Some(Canary { digest: "b".repeat(64), percent: 5 });
        let runs = Channel { active: Some("a".repeat(64)), canary, shadow: None };
        let changed_at = datetime!(2026-03-04 09:00:00 UTC).into();
        let overview = ReleaseList {
            channels: vec![ChannelRow { name: "default".to_owned(), runs, changed_at, canary_since: None }],
            releases: vec![
                release("minutes-v2", 1, "b", false),
                release("minutes-v1", 2, "a", false),
                release("minutes-v1", 1, "c", true),
            ],
            workers: vec![worker("host-7", "a", None), worker("host-8", "b", Some("the bucket: 403"))],
        };
        insta::assert_snapshot!(render_list(&overview));
        let nothing = ReleaseList { channels: Vec::new(), releases: Vec::new(), workers: Vec::new() };
        assert_eq!(render_list(&nothing), "Nothing is published: channels run what GUEST_DIR serves.\n");
    }

    #[test]
    fn a_release_is_shown_with_its_history() {
        let change = |action: &str, from: Option<&str>, to: Option<&str>, reason: &str| ChangeRow {
            at: datetime!(2026-03-04 09:00:00 UTC).into(),
            actor: "anna".to_owned(),
            action: action.to_owned(),
            channel: (action != "publish").then(|| "default".to_owned()),
            digest_from: from.map(|digest| digest.repeat(64)),
            digest_to: to.map(|digest| digest.repeat(64)),
            reason: reason.to_owned(),
        };
        let releases = [release("minutes-v2", 1, "b", true), release("minutes-v1", 1, "a", false)];
        let changes = vec![
            change("rollback", Some("b"), Some("a"), "owners are wrong"),
            change("activate", Some("a"), Some("b"), ""),
            change("publish", None, Some("b"), ""),
        ];
        let since = Some(datetime!(2026-03-04 09:00:00 UTC));
        let counted = |digest: &str, channel: Option<&str>, figures| CountedStats {
            digest: digest.repeat(64),
            channel: channel.map(str::to_owned),
            since: since.filter(|_| channel.is_some()),
            figures,
        };
        let figures = ReleaseStats {
            jobs: 100,
            results: 104,
            rejections: 7,
            faults: 4,
            retries: 5,
            tokens_in: 123_456,
            tokens_out: 7_890,
            guest_micros: 81_000,
        };
        let counted = vec![
            counted("b", None, figures),
            counted("b", Some("default"), figures),
            counted("a", Some("default"), ReleaseStats::default()),
        ];
        let tally = |result: &str, files, most: &[(&str, i64)]| ShadowTally {
            result: result.to_owned(),
            files,
            most: most.iter().map(|(place, files)| ((*place).to_owned(), *files)).collect(),
        };
        let shadow = vec![
            tally("fault", 1, &[("guest_trap", 1)]),
            tally("changed", 9, &[("/next_steps/*/owner", 7), ("/summary", 3)]),
            tally("same", 90, &[]),
        ];
        let view = ReleaseView { release: releases[0].clone(), counted, shadow, changes };
        insta::assert_snapshot!(render_release(&view, &releases));
    }
}
