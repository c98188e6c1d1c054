//! `assay release activate`, `canary`, `shadow`, `promote`, `rollback` and `retire`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context, anyhow};
use assay_core::channel::{self, Change, Refusal};
use assay_db::{
    Database, DbError,
    releases::{By, Changed, ReleaseRow},
};

use super::{find, name, open, runs};
use crate::{audit::Audit, exit::Failure, output};

/// Where a change happens.
#[derive(Debug, clap::Args)]
struct Place {
    /// The channel
    #[arg(long, value_name = "NAME", default_value = "default")]
    channel: String,
    #[command(flatten)]
    audit: Audit,
}

/// Let new jobs of a channel run on a release.
///
/// A canary beside the release before ends. Workers exchange it between two jobs; none is stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release activate minutes-v2 --reason 'better next steps'
  assay release activate minutes-v1@2 --channel batch")]
pub struct Activate {
    /// The release
    #[arg(value_name = "VERSION")]
    release: String,
    /// Let reports have another schema version from the next job on
    #[arg(long)]
    allow_schema_change: bool,
    #[command(flatten)]
    place: Place,
}

/// Let a share of the new jobs of a channel run on another release.
///
/// The share is of files, by a hash of their ids, so that a file stays on its side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release canary minutes-v3 --percent 5
  assay release canary minutes-v3 --percent 0      ends it")]
pub struct Canary {
    /// The release
    #[arg(value_name = "VERSION")]
    release: String,
    /// Percent of new jobs; 0 ends the canary
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=99))]
    percent: i32,
    /// Let its reports have another schema version
    #[arg(long)]
    allow_schema_change: bool,
    #[command(flatten)]
    place: Place,
}

/// Let a release run beside the active one, on the same answers, without any effect on a file.
///
/// After each job of the active release the candidate runs on the answers that the job got; `assay release show` tells on how many
/// files it makes the same report, and where it differs. It asks the model nothing: where it would ask something else, that
/// is the result.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release shadow minutes-v3
  assay release show minutes-v3
  assay release shadow --off")]
pub struct Shadow {
    /// The release
    #[arg(value_name = "VERSION", required_unless_present = "off")]
    release: Option<String>,
    /// End the shadow that runs
    #[arg(long, conflicts_with = "release")]
    off: bool,
    #[command(flatten)]
    place: Place,
}

/// Make the canary of a channel its active release.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release promote
  assay release promote --channel batch --reason 'a day without a fault'")]
pub struct Promote {
    /// Let reports have another schema version from the next job on
    #[arg(long)]
    allow_schema_change: bool,
    #[command(flatten)]
    place: Place,
}

/// Undo the last change of a channel; once more undoes the one before.
///
/// A shadow is no change of what new jobs run on, and stays. A canary that was halted is not started again: activate the release
/// that you want.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release rollback
  assay release rollback --channel batch --reason 'owners are wrong'")]
pub struct Rollback {
    #[command(flatten)]
    place: Place,
}

/// Take a release out of service: nothing new runs on it.
///
/// Jobs that have begun on it run on it to their end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release retire minutes-v1@1")]
pub struct Retire {
    /// The release
    #[arg(value_name = "VERSION")]
    release: String,
    #[command(flatten)]
    audit: Audit,
}

/// Everything that a change needs.
struct Desk {
    database: Database,
    releases: Vec<ReleaseRow>,
    actor: String,
}

impl Desk {
    async fn open(audit: &Audit, values: BTreeMap<String, String>) -> Result<Self, Failure> {
        let actor = audit.actor(&values);
        let database = open(values).await?;
        let releases = database.releases().await.context("list the releases")?;
        Ok(Self { database, releases, actor })
    }

    /// The canary of a channel, where it has the prompt version that is meant.
    async fn running_canary(&self, channel: &str, meant: &str) -> anyhow::Result<Option<&ReleaseRow>> {
        let channels = self.database.channels().await.context("look at the channels")?;
        let running = channels.iter().find(|row| row.name == channel).and_then(|row| row.runs.canary.as_ref());
        let release = self.releases.iter().find(|row| running.is_some_and(|canary| canary.digest == row.digest));
        Ok(release.filter(|release| release.prompt_version == meant))
    }

    async fn change(&self, place: &Place, change: &Change, schema_may_change: bool) -> Result<ExitCode, Failure> {
        let by = By { actor: &self.actor, reason: &place.audit.reason };
        let done = self.database.change_channel(&place.channel, change, schema_may_change, by).await;
        self.tell(&place.channel, done)
    }

    fn tell(&self, channel: &str, done: Result<Result<Changed, Refusal>, DbError>) -> Result<ExitCode, Failure> {
        let done = done.with_context(|| format!("change channel {channel}"))?;
        let Changed { before, after } =
            done.map_err(|refusal| anyhow!("channel {channel} stays as it is: {refusal}"))?;
        let (before, after) = (runs(&before, &self.releases), runs(&after, &self.releases));
        output::print(&format!("channel {channel}: new jobs run on {after}; before: {before}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) async fn activate(arguments: &Activate, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let desk = Desk::open(&arguments.place.audit, values).await?;
    let release = find(&desk.releases, &arguments.release)?;
    let change = Change::Activate(release.digest.clone());
    desk.change(&arguments.place, &change, arguments.allow_schema_change).await
}

pub(super) async fn canary(arguments: &Canary, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let desk = Desk::open(&arguments.place.audit, values).await?;
    let release = match arguments.percent {
        // The one that runs, although there may be a newer revision of it.
        0 => desk.running_canary(&arguments.place.channel, &arguments.release).await?,
        _ => None,
    };
    let release = match release {
        Some(running) => running,
        None => find(&desk.releases, &arguments.release)?,
    };
    let canary = channel::Canary { digest: release.digest.clone(), percent: arguments.percent };
    desk.change(&arguments.place, &Change::Canary(canary), arguments.allow_schema_change).await
}

pub(super) async fn shadow(arguments: &Shadow, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let desk = Desk::open(&arguments.place.audit, values).await?;
    let release = arguments.release.as_ref().map(|release| find(&desk.releases, release)).transpose()?;
    let change = Change::Shadow(release.map(|release| release.digest.clone()));
    desk.change(&arguments.place, &change, true).await
}

pub(super) async fn promote(arguments: &Promote, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let desk = Desk::open(&arguments.place.audit, values).await?;
    desk.change(&arguments.place, &Change::Promote, arguments.allow_schema_change).await
}

pub(super) async fn rollback(arguments: &Rollback, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let Place { channel, audit } = &arguments.place;
    let desk = Desk::open(audit, values).await?;
    let done = desk.database.roll_back(channel, By { actor: &desk.actor, reason: &audit.reason }).await;
    desk.tell(channel, done)
}

pub(super) async fn retire(arguments: &Retire, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let desk = Desk::open(&arguments.audit, values).await?;
    let release = find(&desk.releases, &arguments.release)?;
    let by = By { actor: &desk.actor, reason: &arguments.audit.reason };
    let done = desk.database.retire(&release.digest, by).await.context("retire the release")?;
    if !done {
        let why = if release.retired_at.is_some() { "it is retired already" } else { "a channel runs it" };
        return Err(anyhow!("{} stays as it is: {why}", name(release)).into());
    }
    output::print(&format!("{} is retired: nothing new runs on it\n", name(release)))?;
    Ok(ExitCode::SUCCESS)
}
