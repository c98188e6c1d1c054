//! `assay guest check`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use assay_core::env::Variables;
use assay_guest_build::Stamp;
use assay_guest_test::{Rule, RuleStatus, examine};
use assay_runtime::{Digest, Manifest, Runtime};
use serde::Serialize;

use super::{
    make::{Made, Maker},
    source::Source,
};
use crate::{exit::Failure, output};

/// Hold a component to the rules of admission, each with its verdict and its cure.
///
/// What a worker demands: size, format, imports, world, compiling, `describe`, schema. And what whoever ships it should
/// demand: its fixtures pass, and its `check` agrees with the host's own second check on their reports and on 1,000
/// mutations of them. Exits 0 where every rule is kept, else 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest check guests/minutes-v1.wasm
  assay guest check minutes-v1             builds the folder first
  assay guest check minutes-v1.wasm --json | jq '.rules[] | select(.verdict == \"failed\")'")]
pub struct Arguments {
    /// The component, or a guest's folder
    #[arg(value_name = "FILE.wasm|DIR", default_value = ".")]
    path: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Every rule with its verdict.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    digest: String,
    revision: String,
    rules: Vec<Rule>,
}

/// Checks, and prints the verdicts.
pub async fn run(arguments: &Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    let (_, _, report) = judge(&arguments.path, vars).await?;
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&told(&report))?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A component that keeps every rule.
pub(crate) struct Admitted {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Their sha256.
    pub(crate) digest: Digest,
    /// What it says of itself.
    pub(crate) manifest: Manifest,
}

/// Holds a component to the rules for whoever publishes it; where one is broken, the table that `assay guest check` prints.
///
/// # Errors
/// What keeps the rules from being looked at.
pub(crate) async fn admit(path: &Path, vars: Variables) -> Result<Result<Admitted, String>, Failure> {
    let (runtime, made, report) = judge(path, vars).await?;
    if !report.ok {
        return Ok(Err(told(&report)));
    }
    // Its image is in the cache since it was looked at.
    let guest = runtime.load(&made.bytes).await.map_err(anyhow::Error::from)?;
    let (digest, manifest) = (guest.digest(), guest.manifest().clone());
    Ok(Ok(Admitted { bytes: made.bytes, digest, manifest }))
}

/// Builds where that is needed, and looks at every rule.
async fn judge(path: &Path, vars: Variables) -> Result<(Runtime, Made, Report), Failure> {
    let source = Source::at(path)?;
    let maker = Maker::new(vars)?;
    let made = maker.make_of_any_size(&source).await.with_context(|| format!("build {source}"))?;
    let fixtures = source.fixtures(&made.bytes);
    let readable = fixtures.as_deref().unwrap_or_default();
    let runtime = maker.runtime()?;
    let rules = examine(&runtime, &made.bytes, readable, maker.job_limits()).await;
    let mut rules = rules.map_err(anyhow::Error::from)?;
    if !matches!(source, Source::Component(_)) {
        cure_size(&mut rules, &made);
    }
    if let Err(error) = &fixtures {
        fail_fixtures(&mut rules, error);
    }
    let report = Report {
        ok: rules.iter().all(|rule| matches!(rule.verdict, RuleStatus::Ok | RuleStatus::Warning)),
        digest: Digest::of(&made.bytes).to_string(),
        revision: Stamp::of(&made.bytes).revision,
        rules,
    };
    Ok((runtime, made, report))
}

/// Whoever builds a guest knows what of it is large.
fn cure_size(rules: &mut [Rule], made: &Made) {
    for rule in rules.iter_mut().filter(|rule| rule.name == "size" && rule.verdict == RuleStatus::Failed) {
        rule.cure = Some(made.cure_of_size().to_owned());
    }
}

/// Fixtures that cannot be read break a rule like any other, unless an earlier one is broken.
fn fail_fixtures(rules: &mut [Rule], error: &anyhow::Error) {
    let mut rules = rules.iter_mut().skip_while(|rule| rule.name != "fixtures");
    let Some(fixtures) = rules.next().filter(|rule| rule.verdict != RuleStatus::Skipped) else { return };
    fixtures.verdict = RuleStatus::Failed;
    fixtures.detail = format!("those that it carries cannot be read: {error:#}");
    fixtures.cure = Some("build it again from its sources: `assay guest build DIR`".to_owned());
    for rule in rules {
        rule.verdict = RuleStatus::Skipped;
        rule.detail = "an earlier rule is broken".to_owned();
        rule.cure = None;
    }
}

fn told(report: &Report) -> String {
    let mut rows = Vec::new();
    for rule in &report.rules {
        let verdict = match rule.verdict {
            RuleStatus::Ok => "ok",
            RuleStatus::Warning => "warning",
            RuleStatus::Failed => "FAILED",
            RuleStatus::Skipped => "skipped",
        };
        rows.push(vec![rule.name.to_owned(), verdict.to_owned(), rule.detail.clone()]);
        if let Some(cure) = &rule.cure {
            rows.push(vec![String::new(), "cure".to_owned(), cure.clone()]);
        }
    }
    format!("sha256:{}\n\n{}", report.digest, output::table(&["RULE", "VERDICT", "DETAIL"], rows, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &'static str, verdict: RuleStatus, detail: &str, cure: Option<&str>) -> Rule {
        Rule { name, verdict, detail: detail.to_owned(), cure: cure.map(str::to_owned) }
    }

    #[test]
    fn fixtures_that_cannot_be_read_break_their_rule_unless_an_earlier_one_is_broken() {
        let judged = |schema, fixtures, check| {
            let mut rules = [
                rule("schema", schema, "", None),
                rule("fixtures", fixtures, "", None),
                rule("second check", check, "", Some("give it a fixture")),
            ];
            fail_fixtures(&mut rules, &anyhow::anyhow!("assay:fixtures: no JSON"));
            rules.map(|rule| (rule.verdict, rule.cure.is_some()))
        };
        let none = RuleStatus::Warning;
        let expected = [(RuleStatus::Ok, false), (RuleStatus::Failed, true), (RuleStatus::Skipped, false)];
        assert_eq!(judged(RuleStatus::Ok, none, none), expected);
        let skipped = RuleStatus::Skipped;
        let expected = [(RuleStatus::Failed, false), (skipped, false), (skipped, true)];
        assert_eq!(judged(RuleStatus::Failed, skipped, skipped), expected, "as it was");
    }

    #[test]
    fn rules_are_told_with_verdict_detail_and_cure() {
        let rules = vec![
            rule("size", RuleStatus::Ok, "4.6 of 64 MiB", None),
            rule(
                "fixtures",
                RuleStatus::Warning,
                "it carries none",
                Some("add one: assay guest try DIR FILE --record NAME"),
            ),
            rule("imports", RuleStatus::Failed, "it asks for wasi:io/poll", Some("remove what asks for it")),
            rule("compile", RuleStatus::Skipped, "", None),
        ];
        let report = Report { ok: false, digest: "0123456789abcdef".repeat(4), revision: "sha256:7".into(), rules };
        insta::assert_snapshot!(told(&report));
    }
}
