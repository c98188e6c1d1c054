//! What one guest call gave and what it took.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift};

use crate::fault::Fault;

/// The outcome of one call in a sandbox of its own.
#[derive(Debug, Clone)]
pub struct Call<T> {
    /// The value, or why there is none.
    pub result: Result<T, Fault>,
    /// From instantiate to drop.
    pub elapsed: Duration,
    /// Waiting for a thread before that.
    pub queued: Duration,
    /// Linear memory at its largest, in bytes.
    pub peak_memory: usize,
    /// Fuel used, in a metered runtime.
    pub fuel: Option<u64>,
    /// The guest's own lines, cut and cleaned. Content: for the run folder, never for a log.
    pub log: Vec<LogLine>,
    /// Lines past the limit.
    pub dropped_log_lines: u32,
}

impl<T> Call<T> {
    /// A call of which nothing ran.
    pub(crate) fn never_ran(fault: Fault, queued: Duration) -> Self {
        Self {
            result: Err(fault),
            elapsed: Duration::ZERO,
            queued,
            peak_memory: 0,
            fuel: None,
            log: Vec::new(),
            dropped_log_lines: 0,
        }
    }

    /// The same call with its value run through `judge`.
    pub(crate) fn and_then<U>(self, judge: impl FnOnce(T) -> Result<U, Fault>) -> Call<U> {
        Call {
            result: self.result.and_then(judge),
            elapsed: self.elapsed,
            queued: self.queued,
            peak_memory: self.peak_memory,
            fuel: self.fuel,
            log: self.log,
            dropped_log_lines: self.dropped_log_lines,
        }
    }
}

/// One line that a guest wrote.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How important the guest finds it.
    pub level: Level,
    /// At most `Limits::log_line_bytes`, without control characters.
    pub message: String,
}

impl std::fmt::Debug for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogLine({:?}, <{} bytes>)", self.level, self.message.len())
    }
}

/// How important a guest finds a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ComponentType, Lift)]
#[serde(rename_all = "snake_case")]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// For its author.
    #[component(name = "debug")]
    Debug,
    /// Worth knowing.
    #[component(name = "info")]
    Info,
    /// Not as it should be.
    #[component(name = "warn")]
    Warn,
    /// Wrong.
    #[component(name = "error")]
    Error,
}
