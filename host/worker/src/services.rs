//! The clients of database, bucket and model, made once and shared by every part of a worker.

use assay_db::Database;
use assay_llm::Model;
use assay_objects::Objects;

use crate::{
    breakers::{Breakers, Inquiries},
    guests::loaded_guests::Guests,
    metrics::Metrics,
    pipeline::config::PipelineConfig,
};

/// The clients and limits that a job uses. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub objects: Objects,
    pub database: Database,
    pub guests: Guests,
    pub model: Model,
    pub breakers: Breakers,
    pub inquiries: Inquiries,
    pub metrics: Metrics,
    pub config: PipelineConfig,
}
