//! Waits until files have succeeded or failed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use assay_core::ids::FileId;
use assay_db::{Database, files::FileStatus};
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal;

/// Short against a model call, long against a query.
const POLL_PERIOD: Duration = Duration::from_millis(250);
/// Limit for a database that does not answer. The jobs go on meanwhile.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

pub fn is_terminal(status: &str) -> bool {
    matches!(status, "succeeded" | "failed")
}

/// Waits until every file has succeeded or failed. Returns their states in the same order. Shows progress on a terminal.
///
/// # Errors
/// A file was deleted, or the database does not answer for a minute.
pub async fn until_terminal(database: &Database, files: &[FileId]) -> anyhow::Result<Vec<FileStatus>> {
    if !files.is_empty() && database.live_workers().await.is_ok_and(|live| live.is_empty()) {
        terminal::note("no live worker: no heartbeat within the last minute; waiting for one");
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
                Ok(None) => bail!("file {file} was deleted"),
                Err(error) if answered.elapsed() > DATABASE_PATIENCE => {
                    return Err(error).context("wait for the files; their jobs go on");
                }
                Err(error) => tracing::warn!(%error, "file status not read"),
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
        tokio::time::sleep(POLL_PERIOD).await;
    }
}

/// Returns for example "2 queued, 1 processing, 4 succeeded".
fn counts<'a>(states: impl Iterator<Item = &'a FileStatus>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states {
        *counts.entry(state.status.as_str()).or_default() += 1;
    }
    let parts: Vec<_> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
    parts.join(", ")
}

/// Draws only on a terminal.
fn bar(files: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} done in {elapsed}: {msg}")
        .expect("a constant template parses");
    let bar = ProgressBar::new(files as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
