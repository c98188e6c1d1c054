//! What became of an invariant.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub name: &'static str,
    /// 0 proves nothing.
    pub checked: usize,
    /// Violations, a line each.
    pub broken: Vec<String>,
}

impl Verdict {
    pub fn new(name: &'static str, checked: usize, broken: impl IntoIterator<Item = String>) -> Self {
        Self { name, checked, broken: broken.into_iter().collect() }
    }
}
