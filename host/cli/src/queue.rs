//! `assay queue pause` and `resume`: whether jobs are claimed.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context;
use assay_core::env::Variables;
use assay_db::{Database, DatabaseConfig, pauses::Pause};

use super::{audit::Audit, database, exit::Failure, output};

/// Hold jobs back, and let them go again.
///
/// Nothing is claimed of a channel that is paused, by no worker, from the next look at the queue on. What is in hand goes on to
/// its end, and files can be enqueued. `assay status` shows what is paused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay queue pause --reason 'the provider is down'
  assay queue resume
  assay queue pause --channel batch")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Each is explained where its arguments are.
#[derive(Debug, clap::Subcommand)]
enum Command {
    Pause(Hold),
    Resume(Release),
}

/// Claim nothing more, of one channel or of all.
///
/// It lasts until somebody resumes it. Where it is paused already, that pause stays with its reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay queue pause --reason 'the provider is down'
  assay queue pause --channel batch --by anna")]
struct Hold {
    /// The channel; all of them where not given
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    #[command(flatten)]
    audit: Audit,
}

/// Claim jobs again, of one channel or of all.
///
/// Channels that were paused one by one stay paused until they are resumed one by one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay queue resume
  assay queue resume --channel batch")]
struct Release {
    /// The channel; what was paused for all of them where not given
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

/// Changes it, and tells what is paused now.
pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let mut vars = Variables::from_map(values.clone());
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = database::open(config).await?;
    let (what, changed) = match &arguments.command {
        Command::Pause(Hold { channel, audit }) => {
            let paused = database.pause(channel.as_deref(), &audit.actor(&values), &audit.reason).await;
            let changed = paused.context("pause the queue")?;
            (named(channel.as_deref()), if changed { "paused" } else { "paused already" })
        }
        Command::Resume(Release { channel }) => {
            let changed = database.resume(channel.as_deref()).await.context("resume the queue")?;
            (named(channel.as_deref()), if changed { "resumed" } else { "not paused" })
        }
    };
    let text = format!("{}: {changed}\n", output::plain(&what));
    output::print(&(text + &told(&database).await?))?;
    Ok(ExitCode::SUCCESS)
}

fn named(channel: Option<&str>) -> String {
    channel.map_or_else(|| "all channels".to_owned(), |name| format!("channel {name}"))
}

/// What is paused now; nothing where nothing is.
async fn told(database: &Database) -> anyhow::Result<String> {
    let pauses = database.pauses().await.context("look at what is paused")?;
    Ok(if pauses.is_empty() { String::new() } else { format!("\n{}", table(&pauses)) })
}

/// What is paused, since when, by whom and why.
pub(super) fn table(pauses: &[Pause]) -> String {
    let row = |pause: &Pause| {
        let channel = pause.channel.clone().unwrap_or_else(|| "all channels".to_owned());
        vec![channel, output::instant(pause.paused_at), pause.actor.clone(), pause.reason.clone()]
    };
    output::table(&["PAUSED", "SINCE", "BY", "REASON"], pauses.iter().map(row).collect(), &[])
}
