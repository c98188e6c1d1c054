//! What can go wrong between a worker and what it depends on. Each fault knows how it begins and how it ends.

mod bucket;
mod database;
mod model;

pub use bucket::BucketFault;
pub use database::DatabaseFault;
pub use model::ModelFault;
