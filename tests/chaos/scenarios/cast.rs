//! Who plays in a scenario, and the load.

use std::time::Duration;

/// Workers of every scenario but the swarm.
pub const WORKERS: usize = 3;

/// Transcripts a second: what debug builds of the scenarios that run side by side can do on two cores, with room for what is done twice. A
/// short run has fewer of them at once.
pub const RATE: f64 = 2.5;
pub const SHORT_RATE: f64 = 8.0;
/// Good transcripts a second beside bad ones: the bad ones are asked about four times each, and the slots must not be the limit.
pub const POISONED_RATE: f64 = 6.0;

/// Who plays in a scenario.
#[derive(Debug, Clone, Copy)]
pub struct Cast {
    pub workers: usize,
    /// Workers of the other program; 0 where the tables are Assay's own.
    pub old_workers: usize,
    /// Whether the database has a streaming standby.
    pub standby: bool,
    /// What they are given to do.
    pub load: Load,
}

/// What workers are given to do.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// So many transcripts a second.
    Steady(f64),
    /// So many good transcripts a second, of one kind, and in the second half bad ones among them.
    Poisoned(f64),
    Crowd(Crowd),
}

#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    pub workers: usize,
    pub jobs: usize,
    pub future: i64,
    /// By how much the throughput of the last quarter may be below that of the first; not checked without a value.
    pub fall: Option<f64>,
}

impl Crowd {
    /// For people and for the night.
    pub const LONG: Self = Self { workers: 20, jobs: 10_000, future: 100_000, fall: Some(0.2) };
    /// Among the tests, where a time is never a verdict.
    pub const SHORT: Self = Self { workers: 4, jobs: 300, future: 3_000, fall: None };

    /// Returns the longest that all of it may take, on a machine that does ten jobs a second.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(100) * u32::try_from(self.jobs).unwrap_or(u32::MAX)
    }
}
