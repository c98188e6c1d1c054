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

/// Adds the states that have no jobs.
pub fn complete(found: Vec<QueueDepth>) -> Vec<QueueDepth> {
    STATES
        .iter()
        .map(|state| {
            let known = found.iter().find(|depth| depth.status == *state);
            known.cloned().unwrap_or_else(|| QueueDepth {
                status: (*state).to_owned(),
                jobs: 0,
                due: 0,
                oldest_due_seconds: None,
            })
        })
        .collect()
}
