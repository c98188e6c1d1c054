//! Limits of a guest and of one call.

use std::time::Duration;

use assay_core::manifest::MAX_SCHEMA_BYTES;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Limits of a guest and of one call. They are set before guest code runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of one call, from instantiation to result, without the wait for a thread.
    pub call: Duration,
    /// Linear memory of one call, in bytes, over all memories of the guest.
    pub memory_bytes: usize,
    /// Bytes that one call may return, as the host stores them. Also bounds one log line before it is cut.
    pub output_bytes: usize,
    /// Records that one call may return: prompts, messages, findings. Empty records cost the host more than their bytes.
    pub output_records: usize,
    /// Table elements of one call, over all tables of the guest.
    pub table_elements: usize,
    /// Stack of WebAssembly code, in bytes.
    pub stack_bytes: usize,
    /// Log lines kept per call; further lines are counted.
    pub log_lines: u32,
    /// Bytes kept per log line.
    pub log_line_bytes: usize,
    /// Size of a component, in bytes.
    pub component_bytes: usize,
    /// Size of the schema in a manifest, in bytes.
    pub schema_bytes: usize,
    /// Wall-clock time to compile one guest.
    pub compile: Duration,
    /// Memory of the compile process, in bytes.
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
