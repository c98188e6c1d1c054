//! Options for the audit: who makes a change, and why.

use std::collections::BTreeMap;

#[derive(Debug, clap::Args)]
pub struct Audit {
    /// Reason, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Name of the user, for the audit [default: the user of this shell]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

impl Audit {
    /// Returns the name for the audit.
    pub fn actor(&self, values: &BTreeMap<String, String>) -> String {
        let from_shell = || ["USER", "LOGNAME"].into_iter().find_map(|name| values.get(name).cloned());
        self.by.clone().or_else(from_shell).filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
    }
}
