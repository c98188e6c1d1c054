//! Result and cost of one guest call.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift};

use crate::fault::Fault;

/// Result and cost of one call in its own sandbox.
#[derive(Debug, Clone)]
pub struct Call<T> {
    /// The value, or why the call failed.
    pub result: Result<T, Fault>,
    /// From instantiation to drop.
    pub elapsed: Duration,
    /// Wait for a thread before that.
    pub queued: Duration,
    /// Largest linear memory, in bytes.
    pub peak_memory: usize,
    /// Fuel used; `None` without metering.
    pub fuel: Option<u64>,
    /// The guest's log lines, cut and cleaned. Content: for the run folder, never for a log.
    pub log: Vec<LogLine>,
    /// Number of lines over [`crate::Limits::log_lines`].
    pub dropped_log_lines: u32,
}

impl<T> Call<T> {
    /// Returns a call that ran no guest code.
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

    /// Applies `check` to the value.
    pub(crate) fn and_then<U>(self, check: impl FnOnce(T) -> Result<U, Fault>) -> Call<U> {
        Call {
            result: self.result.and_then(check),
            elapsed: self.elapsed,
            queued: self.queued,
            peak_memory: self.peak_memory,
            fuel: self.fuel,
            log: self.log,
            dropped_log_lines: self.dropped_log_lines,
        }
    }
}

/// One log line of a guest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Level that the guest chose.
    pub level: LogLevel,
    /// Content. At most [`crate::Limits::log_line_bytes`], without control characters.
    pub message: String,
}

impl std::fmt::Debug for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogLine({:?}, <{} bytes>)", self.level, self.message.len())
    }
}

/// Level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ComponentType, Lift)]
#[serde(rename_all = "snake_case")]
#[component(enum)]
#[repr(u8)]
pub enum LogLevel {
    /// For the guest's author.
    #[component(name = "debug")]
    Debug,
    /// For information.
    #[component(name = "info")]
    Info,
    /// For a possible fault.
    #[component(name = "warn")]
    Warn,
    /// For a fault.
    #[component(name = "error")]
    Error,
}
