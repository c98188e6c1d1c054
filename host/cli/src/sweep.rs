//! `assay sweep`: what lies in the bucket and no row points at.

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

use super::{database, exit::Failure, output, since};

/// The least age: a producer or a worker may be about to write the row.
const LEAST_AGE: Duration = Duration::from_secs(3600);

/// Find objects that no row points at, and delete them with --delete.
///
/// Run folders, answers and uploads: a crash between an object and its row leaves the object behind. Only keys that are exactly as Assay makes them are looked at, only
/// in a bucket that --mark has marked as this database's, only what is older than --older-than, and nothing of a file whose job waits
/// or runs. Nothing is deleted where it would be more than --max-percent of the objects under users/. Each deletion is told in an event
/// `object_swept`; the database is asked once more right before it. Exits 1 where an object could not be deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay sweep --mark                   once: the objects of this bucket are those of this database
  assay sweep                          how many there are
  assay sweep --keys > keys.txt        which
  assay sweep --delete --older-than 7d")]
pub struct Arguments {
    /// Delete what is found
    #[arg(long)]
    delete: bool,
    /// The least age, from 1h: 90min, 24h, 7d
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = age)]
    older_than: Duration,
    /// Delete nothing where it would be more than this of the objects under users/
    #[arg(long, value_name = "N", default_value_t = MAX_ORPHAN_PERCENT, value_parser = clap::value_parser!(u8).range(1..=100))]
    max_percent: u8,
    /// Print the key of each object that no row points at, one per line, and nothing else
    #[arg(long, conflicts_with_all = ["json", "delete"])]
    keys: bool,
    /// Mark the bucket as this database's, where it is not marked yet, and do nothing else
    #[arg(long, conflicts_with_all = ["delete", "keys", "older_than", "max_percent"])]
    mark: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    let age = since::span(text).ok_or_else(|| "is no age: 90min is, and so are 24h and 7d".to_owned())?;
    if age < LEAST_AGE { Err("is less than 1h: rows may be yet to come".to_owned()) } else { Ok(age) }
}

/// Marks, or counts and deletes, and tells.
pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let (database, objects) = (DatabaseConfig::load(&mut vars), ObjectsConfig::load(&mut vars));
    vars.finish()?;
    let (database, objects) = (database::open(database).await?, Objects::new(&objects));
    if arguments.mark {
        mark(&objects, &database, arguments.json).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let Arguments { delete, older_than, max_percent, .. } = arguments;
    let plan = SweepOptions { older_than, max_percent, delete };
    let sweep = Sweep { database, objects, metrics: Metrics::default(), options: plan };
    let bar = bar();
    let unwritten = Arc::<AtomicBool>::default();
    let swept = sweep.run(&watcher(bar.clone(), arguments.keys, unwritten.clone())).await;
    bar.finish_and_clear();
    let swept = swept.context("sweep the bucket")?;
    if unwritten.load(Ordering::Relaxed) {
        return Err(anyhow::anyhow!("not every key could be written to standard output").into());
    }
    if arguments.json {
        output::print_json(&Outcome::of(&swept, plan))?;
    } else if !arguments.keys {
        output::print(&told(&swept, plan))?;
    }
    Ok(ExitCode::from(u8::from(swept.failed > 0)))
}

/// Shows how far it is, and prints `keys` where they are wanted; `unwritten` tells that one could not be.
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

/// What a sweep came to, for programs.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    found: ObjectCounts,
    orphans: u64,
    too_many: bool,
    delete: bool,
    deleted: u64,
    failed: u64,
}

impl Outcome {
    fn of(swept: &SweepSummary, plan: SweepOptions) -> Self {
        let SweepSummary { found, deleted, failed, too_many } = *swept;
        Self { found, orphans: found.orphans(), too_many, delete: plan.delete, deleted, failed }
    }
}

/// What a sweep came to, for people.
fn told(swept: &SweepSummary, plan: SweepOptions) -> String {
    let ObjectCounts { listed, foreign, young, live, pointed, uploads, answers, runs } = swept.found;
    let rows = [
        ("uploads that no row points at", uploads),
        ("answers that no row points at", answers),
        ("in run folders that no row points into", runs),
        ("pointed at by a row", pointed),
        ("of a file whose job waits or runs", live),
        ("too young to tell", young),
        ("not of Assay's shape", foreign),
        ("all under users/", listed),
    ];
    let rows = rows.map(|(what, objects)| vec![objects.to_string(), what.to_owned()]);
    let mut text = output::table(&["OBJECTS", "WHAT"], rows.into(), &[0]);
    let orphans = swept.found.orphans();
    text += &match (plan.delete, orphans) {
        (_, 0) => "\nnothing to delete\n".to_owned(),
        (false, _) if swept.too_many => format!(
            "\nnothing was changed; --delete would refuse: {} would be more than {} % of all\n",
            counted(orphans),
            plan.max_percent
        ),
        (false, _) => format!("\nnothing was changed; --delete would delete {}\n", counted(orphans)),
        (true, _) => format!("\ndeleted {}\n", counted(swept.deleted)),
    };
    if swept.failed > 0 {
        text += &format!("could not delete {}; the log says why\n", counted(swept.failed));
    }
    text
}

fn counted(objects: u64) -> String {
    if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") }
}

/// indicatif draws on a terminal only. How many objects there are nobody knows before they are counted.
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

    fn swept() -> SweepSummary {
        let found = ObjectCounts {
            listed: 1000,
            foreign: 3,
            young: 20,
            live: 7,
            pointed: 930,
            uploads: 1,
            answers: 30,
            runs: 9,
        };
        SweepSummary { found, ..SweepSummary::default() }
    }

    #[test]
    fn a_sweep_tells_what_there_is_and_what_became_of_it() {
        let plan = SweepOptions::default();
        let deleting = SweepOptions { delete: true, ..plan };
        let sentence =
            |swept: &SweepSummary, plan| told(swept, plan).split_once("\n\n").expect("two parts").1.to_owned();
        insta::assert_snapshot!("sweep", told(&swept(), plan));
        assert_eq!(
            sentence(&SweepSummary { too_many: true, ..swept() }, plan),
            "nothing was changed; --delete would refuse: 40 objects would be more than 5 % of all\n"
        );
        assert_eq!(
            sentence(&SweepSummary { deleted: 39, failed: 1, ..swept() }, deleting),
            "deleted 39 objects\ncould not delete 1 object; the log says why\n"
        );
        assert_eq!(sentence(&SweepSummary::default(), deleting), "nothing to delete\n");
    }

    #[test]
    fn the_bar_tells_what_was_counted_and_then_how_much_of_it_is_deleted() {
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
