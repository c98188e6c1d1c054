//! What a guest's initializer may take.

use std::time::Duration;

/// Limits for everything that a guest runs while it is built, and for its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildLimits {
    /// Wall-clock time.
    pub time: Duration,
    /// Linear memory in bytes. The part in use after initialization is in every instance.
    pub memory_bytes: usize,
    pub table_elements: usize,
    /// Size of the core module and of the finished component in bytes.
    pub module_bytes: usize,
}

impl Default for BuildLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), memory_bytes: 64 << 20, table_elements: 20_000, module_bytes: 32 << 20 }
    }
}
