//! What faults came to: a fault that nobody met has tried nothing.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use parking_lot::Mutex;

/// How often each fault was met. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Met(Arc<Mutex<BTreeMap<String, usize>>>);

impl Met {
    /// Counts a fault as met so many times; none is a fault that nobody met.
    pub fn count(&self, fault: &impl Display, times: usize) {
        *self.0.lock().entry(fault.to_string()).or_default() += times;
    }

    /// All faults that were begun, and how often each was met.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.0.lock().clone()
    }
}
