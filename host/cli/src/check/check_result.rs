//! The result of one check.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// A worker runs, but not as well as it could.
    Warning,
    /// A worker would not run.
    Failed,
    /// Not checked, because something that it needs failed.
    Skipped,
}

#[derive(Clone, Debug, Serialize)]
pub struct CheckResult {
    pub name: String,
    pub verdict: Verdict,
    pub detail: String,
    /// How to fix it. The field of the JSON document stays `cure`.
    #[serde(rename = "cure")]
    pub fix: Option<String>,
}

impl CheckResult {
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, detail: detail.into(), fix: None }
    }

    pub fn warning(name: impl Into<String>, detail: impl Into<String>, fix: &str) -> Self {
        Self { verdict: Verdict::Warning, fix: Some(fix.to_owned()), ..Self::ok(name, detail) }
    }

    pub fn failed(name: impl Into<String>, detail: impl Into<String>, fix: &str) -> Self {
        Self { verdict: Verdict::Failed, fix: Some(fix.to_owned()), ..Self::ok(name, detail) }
    }

    pub fn skipped(name: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, ..Self::ok(name, "not checked: its configuration is wrong") }
    }
}
