//! Memory and tables of one call, within their limits.

use wasmtime::ResourceLimiter;

use crate::{
    engine::{CORE_INSTANCES_PER_GUEST, MEMORIES_PER_GUEST, TABLES_PER_GUEST},
    limits::Limits,
};

/// A limit of one call that the guest hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitExceeded {
    #[error("the memory limit was hit")]
    Memory,
    #[error("the table limit was hit")]
    Table,
}

/// Counts memory and table elements over all of a guest's memories and tables. A refusal ends the call: a guest whose allocator
/// failed must not go on.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_bytes: usize,
    pub(crate) peak_memory_bytes: usize,
    max_memory_bytes: usize,
    elements: usize,
    max_elements: usize,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: 0,
            peak_memory_bytes: 0,
            max_memory_bytes: limits.memory_bytes,
            elements: 0,
            max_elements: limits.table_elements,
        }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.max_memory_bytes {
            return Err(LimitExceeded::Memory.into());
        }
        // Past its own declared maximum the guest gets -1, as the specification says.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory_bytes = total;
        self.peak_memory_bytes = self.peak_memory_bytes.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > self.max_elements {
            return Err(LimitExceeded::Table.into());
        }
        // As above. The pool's size is also passed as a maximum, so our own limit is checked first.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_GUEST as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_GUEST as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_GUEST as usize
    }
}
