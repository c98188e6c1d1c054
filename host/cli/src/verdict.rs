//! What a check found: a verdict, what was seen, and the cure.

use serde::Serialize;

use super::output;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Works, though not as well as it could.
    Warning,
    /// A worker would not work.
    Failed,
    /// Cannot be checked before the configuration is mended.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    /// What.
    pub(super) name: String,
    /// How it ended.
    pub(super) verdict: Verdict,
    /// What was seen.
    pub(super) detail: String,
    /// What to do about it.
    pub(super) cure: Option<String>,
}

impl Check {
    /// As it should be.
    pub(super) fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, detail: detail.into(), cure: None }
    }

    /// Works, though not as well as it could.
    pub(super) fn warning(name: impl Into<String>, detail: impl Into<String>, cure: &str) -> Self {
        Self { verdict: Verdict::Warning, cure: Some(cure.to_owned()), ..Self::ok(name, detail) }
    }

    /// A worker would not work.
    pub(super) fn failed(name: impl Into<String>, detail: impl Into<String>, cure: &str) -> Self {
        Self { verdict: Verdict::Failed, cure: Some(cure.to_owned()), ..Self::ok(name, detail) }
    }

    /// Cannot be checked before the configuration is mended.
    pub(super) fn skipped(name: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, ..Self::ok(name, "its configuration is at fault") }
    }
}

/// The table: a line per check, and its cure below it.
pub(super) fn render(checks: &[Check]) -> String {
    let mut rows = Vec::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        rows.push(vec![check.name.clone(), verdict.to_owned(), check.detail.clone()]);
        if let Some(cure) = &check.cure {
            rows.push(vec![String::new(), "cure".to_owned(), cure.clone()]);
        }
    }
    output::table(&["CHECK", "VERDICT", "DETAIL"], rows, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_line_and_its_cure_below() {
        let checks = [
            Check::failed("configuration", "invalid LLM_PROVIDER `abacus`: expected openai", "correct the variable"),
            Check::ok("database", "reached, schema at version 3"),
            Check::warning("notifications", "LISTEN is swallowed", "connect past the pooler"),
            Check::skipped("model"),
        ];
        insta::assert_snapshot!("checks", render(&checks));
    }
}
