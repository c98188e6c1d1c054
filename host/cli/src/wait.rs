//! Waiting for files to reach their end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use assay_core::ids::FileId;
use assay_db::{Database, files::FileStatus};
use indicatif::{ProgressBar, ProgressStyle};

/// Time between looks: short against a call of a model, long against a query.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the database may be away before the waiting is given up; the jobs do not notice.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether nothing happens to a file any more.
pub(super) fn is_terminal(status: &str) -> bool {
    matches!(status, "succeeded" | "failed")
}

/// Waits until every file has succeeded or failed; tells their last states in the order asked. Shows progress on a
/// terminal only.
///
/// # Errors
/// When a file is gone, or the database does not answer for a minute.
pub(super) async fn until_terminal(database: &Database, files: &[FileId]) -> anyhow::Result<Vec<FileStatus>> {
    if !files.is_empty() && database.live_workers().await.is_ok_and(|live| live.is_empty()) {
        eprintln!("no worker has been heard of within the last minute; waiting for one");
    }
    let bar = bar(files.len());
    let mut states: BTreeMap<FileId, FileStatus> = BTreeMap::new();
    let mut answered = Instant::now();
    loop {
        for file in files {
            if states.get(file).is_some_and(|state| is_terminal(&state.status)) {
                continue;
            }
            match database.file_status(*file).await {
                Ok(Some(state)) => {
                    answered = Instant::now();
                    states.insert(*file, state);
                }
                Ok(None) => bail!("there is no file {file} any more"),
                Err(error) if answered.elapsed() > PATIENCE => {
                    return Err(error).context("wait for the files; their jobs go on");
                }
                Err(error) => tracing::warn!(%error, "look at the files"),
            }
        }
        let ended = states.values().filter(|state| is_terminal(&state.status));
        let ended = ended.count();
        bar.set_position(ended as u64);
        bar.set_message(counts(states.values()));
        if ended == files.len() {
            bar.finish_and_clear();
            return Ok(files.iter().filter_map(|file| states.remove(file)).collect());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// "2 queued, 1 processing, 4 succeeded"
fn counts<'a>(states: impl Iterator<Item = &'a FileStatus>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states {
        *counts.entry(state.status.as_str()).or_default() += 1;
    }
    let told: Vec<_> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
    told.join(", ")
}

/// indicatif draws on a terminal only.
fn bar(files: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} done in {elapsed}: {msg}")
        .expect("a constant template parses");
    let bar = ProgressBar::new(files as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
