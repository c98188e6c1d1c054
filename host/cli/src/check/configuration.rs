//! Checks of the configuration, and the parts of it that other checks need.

use std::collections::BTreeMap;

use assay_core::env::{VariableFault, Variables};

use crate::check::check_result::CheckResult;

/// Loads one part of the configuration. Returns `None` if one of its own variables is wrong.
pub fn part<T>(values: &BTreeMap<String, String>, load: impl FnOnce(&mut Variables) -> T) -> Option<T> {
    let mut vars = Variables::from_map(values.clone());
    let part = load(&mut vars);
    vars.finish().is_ok().then_some(part)
}

/// Returns one failed check for each fault.
pub fn check(faults: &[VariableFault]) -> Vec<CheckResult> {
    let name = "configuration";
    if faults.is_empty() {
        return vec![CheckResult::ok(name, "every variable is valid")];
    }
    let fix = |fault: &VariableFault| format!("correct {}; docs/configuration.md lists all variables", fault.name);
    faults.iter().map(|fault| CheckResult::failed(name, fault.to_string(), &fix(fault))).collect()
}
