//! `assay release …`: publish guests, and decide which of them new jobs run on.

mod change;
mod publish;
mod show;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context, bail};
use assay_core::{channel::Channel, env::Variables};
use assay_db::{Database, DatabaseConfig, releases::ReleaseRow};

use super::{database, exit::Failure};

/// Publish guests, and decide which of them new jobs run on.
///
/// A published guest is a release, known by its digest. Every channel runs one release, at most one canary beside it, and
/// at most one shadow, which makes no reports; jobs that run already, and their retries, stay on the release that they began with. VERSION is a prompt version (its
/// newest revision), a revision of it as in minutes-v1@2, or the beginning of a digest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay release publish minutes-v2.wasm
  assay release activate minutes-v2 --reason 'better next steps'
  assay release shadow minutes-v3
  assay release canary minutes-v3 --percent 5
  assay release promote
  assay release rollback
  assay release list")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Each is explained where its arguments are.
#[derive(Debug, clap::Subcommand)]
enum Command {
    Publish(publish::Arguments),
    Activate(change::Activate),
    Canary(change::Canary),
    Shadow(change::Shadow),
    Promote(change::Promote),
    Rollback(change::Rollback),
    Retire(change::Retire),
    List(show::List),
    Show(show::Show),
}

/// Runs one of them.
pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Publish(arguments) => publish::run(&arguments, values).await,
        Command::Activate(arguments) => change::activate(&arguments, values).await,
        Command::Canary(arguments) => change::canary(&arguments, values).await,
        Command::Shadow(arguments) => change::shadow(&arguments, values).await,
        Command::Promote(arguments) => change::promote(&arguments, values).await,
        Command::Rollback(arguments) => change::rollback(&arguments, values).await,
        Command::Retire(arguments) => change::retire(&arguments, values).await,
        Command::List(arguments) => show::list(&arguments, values).await,
        Command::Show(arguments) => show::show(&arguments, values).await,
    }
}

async fn open(values: BTreeMap<String, String>) -> Result<Database, Failure> {
    let mut vars = Variables::from_map(values);
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    Ok(database::open(config).await?)
}

/// The release that an operator means.
pub(super) fn find<'a>(releases: &'a [ReleaseRow], meant: &str) -> anyhow::Result<&'a ReleaseRow> {
    if let Some((version, revision)) = meant.split_once('@') {
        let revision: i32 = revision.parse().with_context(|| format!("{meant:?}: a revision is a number"))?;
        let found = releases.iter().find(|row| row.prompt_version == version && row.revision == revision);
        return found.with_context(|| format!("{meant} is not published; `assay release list` shows what is"));
    }
    let revisions = releases.iter().filter(|row| row.prompt_version == meant);
    if let Some(newest) = revisions.max_by_key(|row| (row.retired_at.is_none(), row.revision)) {
        return Ok(newest);
    }
    let digest = meant.strip_prefix("sha256:").unwrap_or(meant);
    let is_digest = digest.len() >= 8 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found: Vec<_> = releases.iter().filter(|row| is_digest && row.digest.starts_with(digest)).collect();
    match found[..] {
        [only] => Ok(only),
        [] => {
            bail!("{meant} is not published; `assay release publish` does it, and `assay release list` shows what is")
        }
        _ => bail!("{meant} is the beginning of {} digests; write more of it", found.len()),
    }
}

/// A release as people know it.
pub(super) fn name(row: &ReleaseRow) -> String {
    format!("{}@{}", row.prompt_version, row.revision)
}

fn name_of(releases: &[ReleaseRow], digest: &str) -> String {
    releases.iter().find(|row| row.digest == digest).map_or_else(|| short(digest), name)
}

fn short(digest: &str) -> String {
    format!("sha256:{}…", digest.get(..12).unwrap_or(digest))
}

/// What new jobs of a channel run on, in words.
pub(super) fn runs(channel: &Channel, releases: &[ReleaseRow]) -> String {
    let Some(active) = &channel.active else { return "what GUEST_DIR serves".to_owned() };
    let mut words = name_of(releases, active);
    if let Some(canary) = &channel.canary {
        words += &format!(", and {} % of them on {}", canary.percent, name_of(releases, &canary.digest));
    }
    if let Some(shadow) = &channel.shadow {
        words += &format!(", with {} in the shadow", name_of(releases, shadow));
    }
    words
}

#[cfg(test)]
pub(super) mod tests {
    use assay_core::channel::Canary;
    use time::OffsetDateTime;

    use super::*;

    pub(in super::super) fn release(version: &str, revision: i32, digest: &str, retired: bool) -> ReleaseRow {
        ReleaseRow {
            digest: digest.repeat(64),
            prompt_version: version.to_owned(),
            revision,
            schema_version: "minutes.v1".to_owned(),
            size_bytes: 4_800_000,
            toolchain: Some("rustc 1.95.0".to_owned()),
            sources: None,
            published_by: "anna".to_owned(),
            published_at: OffsetDateTime::UNIX_EPOCH,
            retired_at: retired.then_some(OffsetDateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_release_is_found_by_version_revision_or_digest() {
        let releases = [
            release("minutes-v1", 1, "a", false),
            release("minutes-v1", 2, "b", false),
            release("minutes-v1", 3, "c", true),
            release("minutes-v2", 1, "d", false),
        ];
        let found = |meant: &str| find(&releases, meant).map(name).map_err(|error| error.to_string());
        assert_eq!(found("minutes-v1").unwrap(), "minutes-v1@2", "the newest that is in service");
        assert_eq!(found("minutes-v1@3").unwrap(), "minutes-v1@3");
        assert_eq!(found("dddddddd").unwrap(), "minutes-v2@1");
        assert_eq!(found(&format!("sha256:{}", "a".repeat(64))).unwrap(), "minutes-v1@1");
        assert!(found("minutes-v9").unwrap_err().contains("is not published"));
        assert!(found("minutes-v1@9").unwrap_err().contains("is not published"));
        assert!(found("minutes-v1@x").unwrap_err().contains("a revision is a number"));
        assert!(found("ddd").unwrap_err().contains("is not published"), "too little of a digest");
    }

    #[test]
    fn what_a_channel_runs_is_said_in_words() {
        let releases = [release("minutes-v1", 1, "a", false), release("minutes-v2", 1, "b", false)];
        let active = Some("a".repeat(64));
        let canary = Canary { digest: "b".repeat(64), percent: 5 };
        assert_eq!(runs(&Channel::default(), &releases), "what GUEST_DIR serves");
        assert_eq!(runs(&Channel { active: active.clone(), ..Channel::default() }, &releases), "minutes-v1@1");
        let shadow = Some("c".repeat(64));
        let with_shadow = Channel { active: active.clone(), shadow, ..Channel::default() };
        assert_eq!(runs(&with_shadow, &releases), "minutes-v1@1, with sha256:cccccccccccc… in the shadow");
        let beside = Channel { active, canary: Some(canary), ..Channel::default() };
        assert_eq!(runs(&beside, &releases), "minutes-v1@1, and 5 % of them on minutes-v2@1");
        assert_eq!(runs(&beside, &[]), "sha256:aaaaaaaaaaaa…, and 5 % of them on sha256:bbbbbbbbbbbb…");
    }
}
