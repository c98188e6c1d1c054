//! What a worker is doing, as `/readyz` shows it.

use std::{collections::HashSet, time::Instant};

use assay_core::ids::JobId;

/// What a worker is doing, for `/readyz`.
#[derive(Clone, Debug, Default)]
pub struct WorkerState {
    /// Since when the database has not answered a claim.
    pub claims_failing_since: Option<Instant>,
    /// Since when no heartbeat has got through.
    pub beats_failing_since: Option<Instant>,
    /// Tables of which row security hides rows from this worker.
    pub row_security_hides: Vec<String>,
    /// Jobs that the database refuses to claim, each logged once.
    pub refused_jobs: HashSet<JobId>,
    /// Whether the worker claims no more jobs.
    pub draining: bool,
    /// Jobs in slots.
    pub busy: usize,
}
