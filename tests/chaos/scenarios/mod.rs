//! The scenarios: what each breaks, and how often.

pub mod cast;
pub mod deploy;
pub mod failover;
pub mod kill;
pub mod llm;
pub mod old;
pub mod poisoned;
pub mod postgres;
#[cfg(test)]
pub mod runs;
pub mod s3;
pub mod scenario;
pub mod swarm;
pub mod turns;
pub mod upgrade;
pub mod zombie;
