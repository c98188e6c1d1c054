//! How much a guest may take. The defaults are the table of the design.

use std::time::Duration;

use assay_core::manifest::MAX_SCHEMA_BYTES;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The bounds of a guest and of one call. Applied before anything of the guest runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of one call, from instantiate to its result. Waiting for a thread does not count.
    pub call: Duration,
    /// Linear memory of one call in bytes, all memories of the guest together.
    pub memory_bytes: usize,
    /// What one call may hand to the host, in bytes as the host stores them. Also bounds one log line before it is cut.
    pub output_bytes: usize,
    /// Records in what one call returns: prompts, messages, findings. Keeps a flood of empty ones from costing the host more than their bytes say.
    pub output_records: usize,
    /// Table elements of one call, all tables of the guest together.
    pub table_elements: usize,
    /// Stack of WASM code in bytes.
    pub stack_bytes: usize,
    /// Log lines kept of one call; the rest is counted.
    pub log_lines: u32,
    /// Bytes kept of one log line.
    pub log_line_bytes: usize,
    /// A component in bytes.
    pub component_bytes: usize,
    /// The schema that a guest describes itself with, in bytes.
    pub schema_bytes: usize,
    /// Wall-clock time to compile one guest.
    pub compile: Duration,
    /// Memory of the process that compiles, in bytes.
    pub compile_memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(2),
            memory_bytes: 64 * MIB,
            output_bytes: 8 * MIB,
            output_records: 10_000,
            table_elements: 20_000,
            stack_bytes: 512 * KIB,
            log_lines: 64,
            log_line_bytes: KIB,
            component_bytes: 32 * MIB,
            schema_bytes: MAX_SCHEMA_BYTES,
            compile: Duration::from_secs(120),
            compile_memory_bytes: 2 << 30,
        }
    }
}
