//! Results of checks as a table.

use crate::{
    check::check_result::{CheckResult, Verdict},
    output,
};

/// Returns a table with a row per check, and its fix in the next row.
pub fn render(checks: &[CheckResult]) -> String {
    let mut rows = Vec::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        rows.push(vec![check.name.clone(), verdict.to_owned(), check.detail.clone()]);
        if let Some(fix) = &check.fix {
            rows.push(vec![String::new(), "fix".to_owned(), fix.clone()]);
        }
    }
    output::table(&["CHECK", "VERDICT", "DETAIL"], rows, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_row_and_its_fix_below() {
        let checks = [
            CheckResult::failed(
                "configuration",
                "LLM_PROVIDER: is \"abacus\", but only `openai` is known",
                "correct the variable",
            ),
            CheckResult::ok("database", "reached, schema at version 3"),
            CheckResult::warning("notifications", "LISTEN is swallowed", "connect past the pooler"),
            CheckResult::skipped("model"),
        ];
        insta::assert_snapshot!("checks", render(&checks));
    }
}
