//! `assay sweep`: objects of the bucket that no row names.

mod render;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use assay_core::env::Variables;
use assay_db::{Database, DatabaseConfig};
use assay_objects::{Objects, ObjectsConfig};
use assay_worker::{
    maintenance::orphans::{
        MAX_ORPHAN_PERCENT, ObjectCounts, Sweep, SweepOptions, SweepProgress, SweepSummary,
        marker::{MarkResult, Marker},
    },
    metrics::Metrics,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{database, exit::Failure, output, since};

/// A producer or a worker writes the object first, and its row later.
const MIN_AGE: Duration = Duration::from_secs(3600);

/// Find objects that no row names; delete them with --delete.
///
/// A crash after an object is written, but before its row, leaves the object behind: an upload, an answer, or a run folder.
/// A sweep looks only at keys of the form that Assay makes, in a bucket that --mark has marked for this database. It skips
/// objects younger than --older-than, and files whose job waits or runs. It asks the database again before each deletion, and
/// logs each deletion as an event `object_swept`. It deletes nothing if it found more than --max-percent of the objects under
/// users/. Exits with 1 if an object could not be deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay sweep --mark                   once: this bucket belongs to this database
  assay sweep                          count them
  assay sweep --keys > keys.txt        list them
  assay sweep --delete --older-than 7d")]
pub struct Arguments {
    /// Delete the objects
    #[arg(long)]
    delete: bool,
    /// Minimum age, at least 1h: 90min, 24h, 7d
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = age)]
    older_than: Duration,
    /// Delete nothing if it would be more than this percentage of the objects under users/
    #[arg(long, value_name = "N", default_value_t = MAX_ORPHAN_PERCENT, value_parser = clap::value_parser!(u8).range(1..=100))]
    max_percent: u8,
    /// Print only the keys of these objects, one per line
    #[arg(long, conflicts_with_all = ["json", "delete"])]
    keys: bool,
    /// Only mark the bucket as belonging to this database
    #[arg(long, conflicts_with_all = ["delete", "keys", "older_than", "max_percent"])]
    mark: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    let age = since::span(text).ok_or_else(|| "expected an age: 90min, 24h or 7d".to_owned())?;
    if age < MIN_AGE { Err("less than 1h: rows may still be written".to_owned()) } else { Ok(age) }
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let (database, objects) = (DatabaseConfig::load(&mut vars), ObjectsConfig::load(&mut vars));
    vars.finish()?;
    let (database, objects) = (database::open(database).await?, Objects::new(&objects));
    if arguments.mark {
        mark(&objects, &database, arguments.json).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let Arguments { delete, older_than, max_percent, .. } = arguments;
    let options = SweepOptions { older_than, max_percent, delete };
    let sweep = Sweep { database, objects, metrics: Metrics::default(), options };
    let bar = bar();
    let unwritten = Arc::<AtomicBool>::default();
    let swept = sweep.run(&watcher(bar.clone(), arguments.keys, unwritten.clone())).await;
    bar.finish_and_clear();
    let swept = swept.context("sweep the bucket")?;
    if unwritten.load(Ordering::Relaxed) {
        return Err(anyhow::anyhow!("some keys could not be written to standard output").into());
    }
    if arguments.json {
        output::print_json(&SweepDocument::of(&swept, options))?;
    } else if !arguments.keys {
        output::print(&render::text(&swept, options))?;
    }
    Ok(ExitCode::from(u8::from(swept.failed > 0)))
}

/// Shows progress, and prints keys if `keys` is set. Sets `unwritten` if a key could not be printed.
fn watcher(bar: ProgressBar, keys: bool, unwritten: Arc<AtomicBool>) -> impl Fn(SweepProgress<'_>) + Send + Sync {
    move |seen| match seen {
        SweepProgress::Counted(tally) => {
            bar.set_message(format!("{} objects listed, {} without a row", tally.listed, tally.orphans()));
        }
        SweepProgress::Orphan(key) if keys => {
            if bar.suspend(|| output::print(&format!("{key}\n"))).is_err() {
                unwritten.store(true, Ordering::Relaxed);
            }
        }
        SweepProgress::Orphan(_) => {}
        SweepProgress::Deleted(deleted, counted) => {
            if bar.length().is_none() {
                bar.set_style(style("{spinner} {bar:40} {pos}/{len} deleted in {elapsed}"));
                bar.set_length(counted);
            }
            bar.set_position(deleted);
        }
    }
}

async fn mark(objects: &Objects, database: &Database, json: bool) -> anyhow::Result<()> {
    let marked = Marker::write(objects, database).await.context("mark the bucket")?;
    let (text, marker) = match marked {
        MarkResult::New(marker) => ("is marked now", marker),
        MarkResult::Existing(marker) => ("was marked before", marker),
    };
    if json {
        output::print_json(&marker)?;
    } else {
        output::print(&format!(
            "the bucket {} {text} as that of the database {}\n",
            objects.bucket(),
            marker.database
        ))?;
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct SweepDocument {
    #[serde(flatten)]
    found: ObjectCounts,
    orphans: u64,
    too_many: bool,
    delete: bool,
    deleted: u64,
    failed: u64,
}

impl SweepDocument {
    fn of(swept: &SweepSummary, options: SweepOptions) -> Self {
        let SweepSummary { found, deleted, failed, too_many } = *swept;
        Self { found, orphans: found.orphans(), too_many, delete: options.delete, deleted, failed }
    }
}

/// Draws only on a terminal. It has no length before the objects are counted.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_style(style("{spinner} {msg} in {elapsed}"));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant template parses")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::render::tests::swept;

    #[test]
    fn the_bar_shows_what_was_counted_and_then_what_is_deleted() {
        let (bar, unwritten) = (ProgressBar::hidden(), Arc::<AtomicBool>::default());
        let watch = watcher(bar.clone(), false, unwritten.clone());
        watch(SweepProgress::Counted(&swept().found));
        assert_eq!((bar.message().as_str(), bar.length()), ("1000 objects listed, 40 without a row", None));
        watch(SweepProgress::Orphan("users/"));
        watch(SweepProgress::Deleted(8, 40));
        assert_eq!((bar.position(), bar.length()), (8, Some(40)));
        watch(SweepProgress::Deleted(40, 40));
        assert_eq!((bar.position(), bar.length()), (40, Some(40)));
        assert!(!unwritten.load(Ordering::Relaxed), "no key was to be printed");
    }

    #[test]
    fn an_age_is_a_span_from_an_hour() {
        assert_eq!(age("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert!(age("59min").unwrap_err().contains("less than 1h"));
        assert!(age("soon").unwrap_err().contains("24h"));
    }
}
