//! A fault that was never met has tested nothing.

use std::collections::BTreeMap;

use crate::invariants::verdict::Verdict;

/// Checks that every fault that began was met.
pub fn every_fault_was_met(counts: &BTreeMap<String, usize>) -> Verdict {
    let unmet = counts.iter().filter(|(_, times)| **times == 0);
    Verdict::new("every fault was met", counts.values().sum(), unmet.map(|(fault, _)| format!("never met: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_was_never_met_is_seen() {
        let counts = [("500".to_owned(), 3), ("resets".to_owned(), 0)].into();
        let verdict = every_fault_was_met(&counts);
        assert_eq!((verdict.checked, verdict.broken.len()), (3, 1));
    }
}
