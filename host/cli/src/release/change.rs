//! `assay release activate`, `canary`, `shadow`, `promote`, `rollback` and `retire`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context, anyhow};
use assay_core::channel::{self, Change, Refusal};
use assay_db::{
    Database, DbError,
    releases::{By, Changed, ReleaseRow},
};

use crate::{
    audit::Audit,
    database,
    exit::Failure,
    output,
    release::names::{find, name, runs},
};

#[derive(Debug, clap::Args)]
struct Target {
    /// Channel
    #[arg(long, value_name = "NAME", default_value = "default")]
    channel: String,
    #[command(flatten)]
    audit: Audit,
}

/// Run new jobs of a channel on a release.
///
/// This ends a canary of the channel. Workers change the release between two jobs; no job is stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release activate minutes-v2 --reason 'better next steps'
  assay release activate minutes-v1@2 --channel batch")]
pub struct Activate {
    /// The release
    #[arg(value_name = "VERSION")]
    release: String,
    /// Allow another schema version of reports from the next job on
    #[arg(long)]
    allow_schema_change: bool,
    #[command(flatten)]
    target: Target,
}

/// Run a share of the new jobs of a channel on another release.
///
/// A hash of the file id decides, so a file always runs on the same side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release canary minutes-v3 --percent 5
  assay release canary minutes-v3 --percent 0      end the canary")]
pub struct Canary {
    /// The release
    #[arg(value_name = "VERSION")]
    release: String,
    /// Percent of new jobs; 0 ends the canary
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=99))]
    percent: i32,
    /// Allow another schema version of its reports
    #[arg(long)]
    allow_schema_change: bool,
    #[command(flatten)]
    target: Target,
}

/// Run a release beside the active one, on the same answers, without effect on any file.
///
/// After each job of the active release, the candidate runs on the answers of that job. `assay release show` shows for how many
/// files its report is the same, and where it differs. It never asks the model: if it would ask another question, the result is
/// `diverged`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release shadow minutes-v3
  assay release show minutes-v3
  assay release shadow --off")]
pub struct Shadow {
    /// The release
    #[arg(value_name = "VERSION", required_unless_present = "off")]
    release: Option<String>,
    /// End the current shadow
    #[arg(long, conflicts_with = "release")]
    off: bool,
    #[command(flatten)]
    target: Target,
}

/// Make the canary of a channel its active release.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release promote
  assay release promote --channel batch --reason 'a day without a fault'")]
pub struct Promote {
    /// Allow another schema version of reports from the next job on
    #[arg(long)]
    allow_schema_change: bool,
    #[command(flatten)]
    target: Target,
}

/// Undo the last change of a channel; run it again to undo the change before.
///
/// A shadow stays, because it does not change what new jobs run on. A halted canary is not started again: activate the release
/// that you want.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release rollback
  assay release rollback --channel batch --reason 'owners are wrong'")]
pub struct Rollback {
    #[command(flatten)]
    target: Target,
}

/// Take a release out of service: no new job runs on it.
///
/// Jobs that began on it end on it.
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

struct ChangeContext {
    database: Database,
    releases: Vec<ReleaseRow>,
    actor: String,
}

impl ChangeContext {
    async fn open(audit: &Audit, values: BTreeMap<String, String>) -> Result<Self, Failure> {
        let actor = audit.actor(&values);
        let database = database::open_from(values).await?;
        let releases = database.releases().await.context("list the releases")?;
        Ok(Self { database, releases, actor })
    }

    /// Returns the canary of a channel if it has this prompt version.
    async fn running_canary(&self, channel: &str, meant: &str) -> anyhow::Result<Option<&ReleaseRow>> {
        let channels = self.database.channels().await.context("list the channels")?;
        let running = channels.iter().find(|row| row.name == channel).and_then(|row| row.runs.canary.as_ref());
        let release = self.releases.iter().find(|row| running.is_some_and(|canary| canary.digest == row.digest));
        Ok(release.filter(|release| release.prompt_version == meant))
    }

    async fn change(&self, target: &Target, change: &Change, schema_may_change: bool) -> Result<ExitCode, Failure> {
        let by = By { actor: &self.actor, reason: &target.audit.reason };
        let done = self.database.change_channel(&target.channel, change, schema_may_change, by).await;
        self.report(&target.channel, done)
    }

    fn report(&self, channel: &str, done: Result<Result<Changed, Refusal>, DbError>) -> Result<ExitCode, Failure> {
        let done = done.with_context(|| format!("change channel {channel}"))?;
        let Changed { before, after } =
            done.map_err(|refusal| anyhow!("channel {channel} stays as it is: {refusal}"))?;
        let (before, after) = (runs(&before, &self.releases), runs(&after, &self.releases));
        output::print(&format!("channel {channel}: new jobs run on {after}; before: {before}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

pub async fn activate(arguments: &Activate, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let context = ChangeContext::open(&arguments.target.audit, values).await?;
    let release = find(&context.releases, &arguments.release)?;
    let change = Change::Activate(release.digest.clone());
    context.change(&arguments.target, &change, arguments.allow_schema_change).await
}

pub async fn canary(arguments: &Canary, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let context = ChangeContext::open(&arguments.target.audit, values).await?;
    let release = match arguments.percent {
        // The running canary can be an older revision than the newest one.
        0 => context.running_canary(&arguments.target.channel, &arguments.release).await?,
        _ => None,
    };
    let release = match release {
        Some(running) => running,
        None => find(&context.releases, &arguments.release)?,
    };
    let canary = channel::Canary { digest: release.digest.clone(), percent: arguments.percent };
    context.change(&arguments.target, &Change::Canary(canary), arguments.allow_schema_change).await
}

pub async fn shadow(arguments: &Shadow, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let context = ChangeContext::open(&arguments.target.audit, values).await?;
    let release = arguments.release.as_ref().map(|release| find(&context.releases, release)).transpose()?;
    let change = Change::Shadow(release.map(|release| release.digest.clone()));
    context.change(&arguments.target, &change, true).await
}

pub async fn promote(arguments: &Promote, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let context = ChangeContext::open(&arguments.target.audit, values).await?;
    context.change(&arguments.target, &Change::Promote, arguments.allow_schema_change).await
}

pub async fn rollback(arguments: &Rollback, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let Target { channel, audit } = &arguments.target;
    let context = ChangeContext::open(audit, values).await?;
    let done = context.database.roll_back(channel, By { actor: &context.actor, reason: &audit.reason }).await;
    context.report(channel, done)
}

pub async fn retire(arguments: &Retire, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let context = ChangeContext::open(&arguments.audit, values).await?;
    let release = find(&context.releases, &arguments.release)?;
    let by = By { actor: &context.actor, reason: &arguments.audit.reason };
    let done = context.database.retire(&release.digest, by).await.context("retire the release")?;
    if !done {
        let why = if release.retired_at.is_some() { "it is retired already" } else { "a channel runs it" };
        return Err(anyhow!("{} stays as it is: {why}", name(release)).into());
    }
    output::print(&format!("{} is retired: nothing new runs on it\n", name(release)))?;
    Ok(ExitCode::SUCCESS)
}
