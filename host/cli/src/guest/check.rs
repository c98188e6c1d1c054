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

use crate::{
    exit::Failure,
    guest::{
        guest_builder::{BuiltGuest, GuestBuilder},
        source::Source,
    },
    output,
};

/// Check a component against the rules of admission, and name a fix for each broken rule.
///
/// A worker requires the rules on size, format, imports, world, compilation, `describe` and schema. A release also needs
/// fixtures that pass, and a `check` that agrees with the host's second check on their reports and on 1,000 mutations of them.
/// Exits with 0 if no rule is broken, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest check guests/minutes-v1.wasm
  assay guest check minutes-v1             build the folder first
  assay guest check minutes-v1.wasm --json | jq '.rules[] | select(.verdict == \"failed\")'")]
pub struct Arguments {
    /// Component, or the folder of a guest
    #[arg(value_name = "FILE.wasm|DIR", default_value = ".")]
    path: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct AdmissionReport {
    ok: bool,
    digest: String,
    revision: String,
    rules: Vec<Rule>,
}

pub async fn run(arguments: &Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    let (_, _, report) = judge(&arguments.path, vars).await?;
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&render(&report))?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A component that breaks no rule.
pub struct Admitted {
    pub bytes: Vec<u8>,
    pub digest: Digest,
    pub manifest: Manifest,
}

/// Checks a component before it is published. If it breaks a rule, returns the table that `assay guest check` prints.
///
/// # Errors
/// The rules cannot be checked, for example because the build fails.
pub async fn admit(path: &Path, vars: Variables) -> Result<Result<Admitted, String>, Failure> {
    let (runtime, built, report) = judge(path, vars).await?;
    if !report.ok {
        return Ok(Err(render(&report)));
    }
    // The check has put its image into the cache.
    let guest = runtime.load(&built.bytes).await.map_err(anyhow::Error::from)?;
    let (digest, manifest) = (guest.digest(), guest.manifest().clone());
    Ok(Ok(Admitted { bytes: built.bytes, digest, manifest }))
}

/// Builds the guest if necessary, and checks every rule.
async fn judge(path: &Path, vars: Variables) -> Result<(Runtime, BuiltGuest, AdmissionReport), Failure> {
    let source = Source::at(path)?;
    let builder = GuestBuilder::new(vars)?;
    let built = builder.build_of_any_size(&source).await.with_context(|| format!("build {source}"))?;
    let fixtures = source.fixtures(&built.bytes);
    let readable = fixtures.as_deref().unwrap_or_default();
    let runtime = builder.runtime()?;
    let rules = examine(&runtime, &built.bytes, readable, builder.job_limits()).await;
    let mut rules = rules.map_err(anyhow::Error::from)?;
    if !matches!(source, Source::Component(_)) {
        add_size_fix(&mut rules, &built);
    }
    if let Err(error) = &fixtures {
        fail_fixtures(&mut rules, error);
    }
    let report = AdmissionReport {
        ok: rules.iter().all(|rule| matches!(rule.verdict, RuleStatus::Ok | RuleStatus::Warning)),
        digest: Digest::of(&built.bytes).to_string(),
        revision: Stamp::of(&built.bytes).revision,
        rules,
    };
    Ok((runtime, built, report))
}

/// The builder knows which part of a guest is large.
fn add_size_fix(rules: &mut [Rule], built: &BuiltGuest) {
    for rule in rules.iter_mut().filter(|rule| rule.name == "size" && rule.verdict == RuleStatus::Failed) {
        rule.cure = Some(built.size_fix().to_owned());
    }
}

/// Fails the rule of fixtures if they cannot be read, unless an earlier rule is broken.
fn fail_fixtures(rules: &mut [Rule], error: &anyhow::Error) {
    let mut rules = rules.iter_mut().skip_while(|rule| rule.name != "fixtures");
    let Some(fixtures) = rules.next().filter(|rule| rule.verdict != RuleStatus::Skipped) else { return };
    fixtures.verdict = RuleStatus::Failed;
    fixtures.detail = format!("its fixtures cannot be read: {error:#}");
    fixtures.cure = Some("build it again from its sources: `assay guest build DIR`".to_owned());
    for rule in rules {
        rule.verdict = RuleStatus::Skipped;
        rule.detail = "an earlier rule is broken".to_owned();
        rule.cure = None;
    }
}

fn render(report: &AdmissionReport) -> String {
    let mut rows = Vec::new();
    for rule in &report.rules {
        let verdict = match rule.verdict {
            RuleStatus::Ok => "ok",
            RuleStatus::Warning => "warning",
            RuleStatus::Failed => "FAILED",
            RuleStatus::Skipped => "skipped",
        };
        rows.push(vec![rule.name.to_owned(), verdict.to_owned(), rule.detail.clone()]);
        if let Some(fix) = &rule.cure {
            rows.push(vec![String::new(), "fix".to_owned(), fix.clone()]);
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
    fn unreadable_fixtures_break_their_rule_unless_an_earlier_one_is() {
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
    fn rules_are_shown_with_verdict_detail_and_fix() {
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
        let report =
            AdmissionReport { ok: false, digest: "0123456789abcdef".repeat(4), revision: "sha256:7".into(), rules };
        insta::assert_snapshot!(render(&report));
    }
}
