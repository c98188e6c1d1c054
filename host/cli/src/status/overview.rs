//! The queue, its pauses and its workers.

use assay_db::{files::QueueDepth, pauses::Pause, workers::WorkerRow};
use serde::Serialize;

/// In the order of a job's life.
const STATES: [&str; 4] = ["queued", "processing", "succeeded", "failed"];

#[derive(Debug, Serialize)]
pub struct Overview {
    pub queue: Vec<QueueDepth>,
    pub paused: Vec<Pause>,
    pub workers: Vec<WorkerRow>,
}

/// Adds the states that have no jobs. Other states, which only another program writes, stand last.
pub fn complete(found: Vec<QueueDepth>) -> Vec<QueueDepth> {
    let (known, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|depth| STATES.contains(&depth.status.as_str()));
    let depth = |state: &str| {
        let depth = known.iter().find(|depth| depth.status == state).cloned();
        depth.unwrap_or_else(|| QueueDepth { status: state.to_owned(), jobs: 0, due: 0, oldest_due_seconds: None })
    };
    STATES.into_iter().map(depth).chain(others).collect()
}
