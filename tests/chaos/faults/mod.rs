//! What can go wrong between a worker and what it depends on. Each fault begins, lasts, and ends; what is drawn by lot comes from the plan.

mod bucket;
mod database;
mod deck;
mod met;
mod model;

pub use bucket::{BucketFault, BucketTrouble};
pub use database::{DatabaseFault, JOURNAL, Reach, SETTLE};
use deck::Deck;
pub use met::{Dealt, Met};
pub use model::{Hand, ModelFault, ModelTrouble};
