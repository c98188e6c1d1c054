//! Who changes something, and why: what commands keep of it.

use std::collections::BTreeMap;

/// Who changes something, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Who, for the audit [default: the user of this shell]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

impl Audit {
    /// The name for the audit: what was said, else what the shell says.
    pub(super) fn actor(&self, values: &BTreeMap<String, String>) -> String {
        let from_shell = || ["USER", "LOGNAME"].into_iter().find_map(|name| values.get(name).cloned());
        self.by.clone().or_else(from_shell).filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
    }
}
