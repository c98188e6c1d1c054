//! What can go wrong between a worker and what it depends on. Each fault begins, lasts, and ends; what is drawn by lot comes from the plan.

pub mod bucket;
pub mod database;
pub mod deck;
pub mod failover;
pub mod met;
pub mod model;
pub mod model_trouble;
pub mod poison;
