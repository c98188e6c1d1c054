//! `assay queue pause` and `assay queue resume`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context;
use assay_core::env::Variables;
use assay_db::{Database, DatabaseConfig, pauses::Pause};

use crate::{audit::Audit, database, exit::Failure, output};

/// Stop and start claiming jobs.
///
/// No worker claims a job of a paused channel. Running jobs finish, and files can still be enqueued. `assay status` shows what is
/// paused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay queue pause --reason 'the provider is down'
  assay queue resume
  assay queue pause --channel batch")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Pause(PauseArguments),
    Resume(ResumeArguments),
}

/// Stop claiming jobs, of one channel or of all.
///
/// The pause lasts until `assay queue resume`. If there already is a pause, it stays with its reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay queue pause --reason 'the provider is down'
  assay queue pause --channel batch --by anna")]
struct PauseArguments {
    /// Channel [default: all channels]
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    #[command(flatten)]
    audit: Audit,
}

/// Start claiming jobs again, of one channel or of all.
///
/// A pause of one channel and a pause of all channels are independent: resume each by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay queue resume
  assay queue resume --channel batch")]
struct ResumeArguments {
    /// Channel [default: the pause of all channels]
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let mut vars = Variables::from_map(values.clone());
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = database::open(config).await?;
    let (what, changed) = match &arguments.command {
        Command::Pause(PauseArguments { channel, audit }) => {
            let paused = database.pause(channel.as_deref(), &audit.actor(&values), &audit.reason).await;
            let changed = paused.context("pause the queue")?;
            (named(channel.as_deref()), if changed { "paused" } else { "paused already" })
        }
        Command::Resume(ResumeArguments { channel }) => {
            let changed = database.resume(channel.as_deref()).await.context("resume the queue")?;
            (named(channel.as_deref()), if changed { "resumed" } else { "not paused" })
        }
    };
    let text = format!("{}: {changed}\n", output::plain(&what));
    output::print(&(text + &current_pauses(&database).await?))?;
    Ok(ExitCode::SUCCESS)
}

fn named(channel: Option<&str>) -> String {
    channel.map_or_else(|| "all channels".to_owned(), |name| format!("channel {name}"))
}

async fn current_pauses(database: &Database) -> anyhow::Result<String> {
    let pauses = database.pauses().await.context("list the pauses")?;
    Ok(if pauses.is_empty() { String::new() } else { format!("\n{}", table(&pauses)) })
}

pub fn table(pauses: &[Pause]) -> String {
    let row = |pause: &Pause| {
        let channel = pause.channel.clone().unwrap_or_else(|| "all channels".to_owned());
        vec![channel, output::instant(pause.paused_at), pause.actor.clone(), pause.reason.clone()]
    };
    output::table(&["PAUSED", "SINCE", "BY", "REASON"], pauses.iter().map(row).collect(), &[])
}
