//! The clients of the outside worlds, made once and shared by every part of a worker.

use assay_db::Database;
use assay_llm::Model;
use assay_objects::Objects;

use crate::{breakers::Breakers, guests::Guests, metrics::Metrics, pipeline::PipelineConfig};

/// Everything that a job needs from outside. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Originals, answers and reports.
    pub objects: Objects,
    /// The queue and the journal.
    pub database: Database,
    /// The releases that this worker has loaded.
    pub guests: Guests,
    /// The model.
    pub model: Model,
    /// Which dependencies are not called at the moment.
    pub breakers: Breakers,
    /// Counters and gauges.
    pub metrics: Metrics,
    /// Limits and waits of a job.
    pub config: PipelineConfig,
}
