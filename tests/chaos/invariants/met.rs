//! What was broken was felt: a fault that nobody met has proved nothing.

use std::collections::BTreeMap;

use super::Verdict;

/// Every fault that was begun was met by somebody.
pub fn every_fault_was_met(counts: &BTreeMap<String, usize>) -> Verdict {
    let unmet = counts.iter().filter(|(_, times)| **times == 0);
    Verdict::new("every fault was met", counts.values().sum(), unmet.map(|(fault, _)| format!("nobody met: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_nobody_met_is_told() {
        let counts = [("500".to_owned(), 3), ("resets".to_owned(), 0)].into();
        let verdict = every_fault_was_met(&counts);
        assert_eq!((verdict.checked, verdict.broken.len()), (3, 1));
    }
}
