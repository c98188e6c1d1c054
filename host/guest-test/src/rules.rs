//! The rules of admission: those of a worker for a component, and those for publishing it.

use assay_conversation::JobLimits;
use assay_guest_build::{imports, toolchain};
use assay_runtime::{Guest, LoadError, Runtime, Step, Verifier};
use serde::Serialize;
use serde_json::Value;

use crate::{
    fixture::Fixture,
    mutate::Mutations,
    step_json::{same_step, step_json},
    trial::{Trial, TrialError, run_fixture},
};

/// Mutations of the fixtures' documents that the guest and the host's verifier must agree on.
const MUTATIONS: usize = 1000;
/// In the order of the report.
const RULE_NAMES: [&str; 9] =
    ["size", "binary", "imports", "world", "compile", "describe", "schema", "fixtures", "second check"];

/// Result of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleStatus {
    /// The component keeps it.
    Ok,
    /// Nothing breaks it, but not everything could be checked.
    Warning,
    /// The component breaks it: no worker should run it.
    Failed,
    /// Not checked, because an earlier rule is broken.
    Skipped,
}

/// One rule with its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Name of the rule.
    pub name: &'static str,
    /// Its result.
    pub verdict: RuleStatus,
    /// The observed value, or the reason.
    pub detail: String,
    /// The fix, for a failure or a warning.
    pub cure: Option<String>,
}

impl Rule {
    fn new(name: &'static str, verdict: RuleStatus, detail: impl Into<String>, cure: Option<&str>) -> Self {
        Self { name, verdict, detail: detail.into(), cure: cure.map(str::to_owned) }
    }

    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, RuleStatus::Ok, detail, None)
    }

    fn failed(name: &'static str, detail: impl Into<String>, cure: &str) -> Self {
        Self::new(name, RuleStatus::Failed, detail, Some(cure))
    }
}

/// Checks every rule of a component; `fixtures` are those in the component, or those of its folder.
///
/// # Errors
/// [`LoadError`] for faults of this machine: cache, compiler, memory.
pub async fn examine(
    runtime: &Runtime,
    component: &[u8],
    fixtures: &[Fixture],
    limits: &JobLimits,
) -> Result<Vec<Rule>, LoadError> {
    let limit = runtime.limits().component_bytes;
    let guest = match runtime.load(component).await {
        Ok(guest) => guest,
        Err(error) => return broken(error, component, limit),
    };
    let mut rules = admitted(component, &guest, limit);
    let verifier = match runtime.verifier(&guest.manifest().schema).await {
        Ok(verifier) => verifier,
        Err(error @ (LoadError::SchemaRefused | LoadError::Manifest(_))) => {
            let (detail, cure) = detail_and_fix(&error);
            rules.push(Rule::failed("schema", detail, &cure));
            rules.extend(skipped_after("schema"));
            return Ok(rules);
        }
        Err(error) => return Err(error),
    };
    let bytes = guest.manifest().schema.len();
    rules.push(Rule::ok("schema", format!("{bytes} bytes, valid, with linear-time patterns, nothing remote")));
    let mut trials = Vec::new();
    for fixture in fixtures {
        trials.push((fixture, run_fixture(&guest, fixture, limits).await));
    }
    rules.push(fixtures_rule(&trials));
    rules.push(second_check(&guest, &verifier, &trials, limits).await);
    Ok(rules)
}

/// Returns the rules for a component that does not load.
fn broken(error: LoadError, component: &[u8], limit: usize) -> Result<Vec<Rule>, LoadError> {
    let name = match &error {
        LoadError::TooLarge { .. } => "size",
        LoadError::Text
        | LoadError::CoreModule
        | LoadError::Precompiled
        | LoadError::NotWasm
        | LoadError::Invalid { .. } => "binary",
        LoadError::WasiImport | LoadError::ForeignImport => "imports",
        LoadError::MissingExport | LoadError::WrongTypes => "world",
        LoadError::TooManyResources
        | LoadError::CompileTimeout { .. }
        | LoadError::CompilerDied
        | LoadError::CompileRefused => "compile",
        LoadError::Describe(_) | LoadError::Manifest(_) => "describe",
        _ => return Err(error),
    };
    let before = RULE_NAMES.iter().take_while(|rule| **rule != name);
    let mut rules: Vec<Rule> = before.map(|rule| Rule::ok(rule, kept(rule, component, limit))).collect();
    let (detail, cure) = detail_and_fix(&error);
    rules.push(Rule::failed(name, detail, &cure));
    rules.extend(skipped_after(name));
    Ok(rules)
}

/// Returns the rules that every loaded component keeps.
fn admitted(component: &[u8], guest: &Guest, limit: usize) -> Vec<Rule> {
    let manifest = guest.manifest();
    let described = format!("{}, schema {}", manifest.prompt_version, manifest.schema_version);
    let loaded = RULE_NAMES.iter().take_while(|rule| **rule != "describe");
    let mut rules: Vec<Rule> = loaded.map(|rule| Rule::ok(rule, kept(rule, component, limit))).collect();
    rules.push(Rule::ok("describe", described));
    rules
}

/// Returns the detail of a rule of loading that is kept.
fn kept(rule: &str, component: &[u8], limit: usize) -> String {
    match rule {
        "size" => {
            let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
            format!("{:.1} of {:.0} MiB", mebibytes(component.len()), mebibytes(limit))
        }
        "binary" => match toolchain(component) {
            Some(toolchain) => format!("a valid component, made by {toolchain}"),
            None => "a valid component".to_owned(),
        },
        "imports" => match imports(component) {
            Ok(imports) if !imports.is_empty() => imports.join(", "),
            _ => "none".to_owned(),
        },
        "world" => "exports assay:report/guest@0.1.0".to_owned(),
        _ => "within the compiler's limits".to_owned(),
    }
}

/// Splits an error's text into detail and fix.
fn detail_and_fix(error: &LoadError) -> (String, String) {
    let text = error.to_string();
    let cure = "correct the guest and build it again";
    let (detail, cure) = text.split_once("; ").unwrap_or((&text, cure));
    (detail.to_owned(), cure.to_owned())
}

fn skipped_after(name: &str) -> impl Iterator<Item = Rule> {
    let after = RULE_NAMES.iter().skip_while(move |rule| **rule != name).skip(1);
    after.map(|rule| Rule::new(rule, RuleStatus::Skipped, "an earlier rule is broken", None))
}

type Trials<'a> = [(&'a Fixture, Result<Trial, TrialError>)];

fn fixtures_rule(trials: &Trials<'_>) -> Rule {
    const NAME: &str = "fixtures";
    if trials.is_empty() {
        let cure = "give it some in the folder `fixtures` and build it again";
        return Rule::new(NAME, RuleStatus::Warning, "it carries none", Some(cure));
    }
    for (fixture, trial) in trials {
        let wrong = match trial {
            Err(error) => error.to_string(),
            Ok(trial) => match &fixture.expected {
                Some(step) if same_step(step, &step_json(&trial.step)) => continue,
                Some(_) => "the step is not the expected one".to_owned(),
                None => "no step is accepted for it yet".to_owned(),
            },
        };
        return Rule::failed(NAME, format!("{}: {wrong}", fixture.name), "run `assay guest test` on its folder");
    }
    let peak = trials.iter().filter_map(|(_, trial)| trial.as_ref().ok()).map(|trial| trial.peak_memory).max();
    let peak = peak.unwrap_or_default() as f64 / f64::from(1 << 20);
    Rule::ok(NAME, format!("{} pass, each twice alike and within the limits; at most {peak:.1} MiB", trials.len()))
}

/// Compares the guest's `check` with the host's verifier on every document and on mutations of it.
async fn second_check(guest: &Guest, verifier: &Verifier, trials: &Trials<'_>, limits: &JobLimits) -> Rule {
    const NAME: &str = "second check";
    const CURE: &str = "let `check` judge by the very schema that `describe` returns";
    let documents: Vec<Value> = trials
        .iter()
        .filter_map(|(_, trial)| match &trial.as_ref().ok()?.step {
            Step::Accept(report) => serde_json::from_str(&report.document).ok(),
            _ => None,
        })
        .collect();
    if documents.is_empty() {
        let cure = "give it a fixture that ends with `accept`";
        return Rule::new(NAME, RuleStatus::Warning, "no fixture has a report to try it on", Some(cure));
    }
    for document in &documents {
        match check_both(guest, verifier, document).await {
            Ok((true, true)) => {}
            Ok(_) => return Rule::failed(NAME, "a report that the guest accepts breaks its schema", CURE),
            Err(fault) => return Rule::failed(NAME, fault, CURE),
        }
    }
    let mut valid = 0;
    let mut mutations: Vec<_> =
        documents.iter().zip(1..).map(|(document, seed)| Mutations::of(document, seed)).collect();
    let mut number = 0;
    while number < MUTATIONS {
        let turn = number % mutations.len();
        // Mutations never end. Documents over the limit are skipped: neither check sees them.
        let Some(mutation) = mutations[turn].find(|document| document.to_string().len() <= limits.report_bytes) else {
            break;
        };
        number += 1;
        match check_both(guest, verifier, &mutation).await {
            Ok((check, verify)) if check == verify => valid += usize::from(check),
            Ok((check, _)) => {
                let (check, verify) = if check { ("takes", "refuses") } else { ("refuses", "takes") };
                let detail = format!("the guest {check} and the verifier {verify} mutation {number} of a report");
                return Rule::failed(NAME, detail, CURE);
            }
            Err(fault) => return Rule::failed(NAME, format!("mutation {number} of a report: {fault}"), CURE),
        }
    }
    let documents = documents.len();
    Rule::ok(NAME, format!("agrees on {} and {MUTATIONS} mutations of them ({valid} valid)", counted(documents)))
}

fn counted(reports: usize) -> String {
    if reports == 1 { "1 report".to_owned() } else { format!("{reports} reports") }
}

/// Returns whether the guest accepts a document, and whether the verifier does.
async fn check_both(guest: &Guest, verifier: &Verifier, document: &Value) -> Result<(bool, bool), String> {
    let document = document.to_string();
    let (check, verify) = tokio::join!(guest.check(&document), verifier.check(&document));
    let check = check.result.map_err(|fault| format!("check: {fault}"))?;
    let verify = verify.result.map_err(|fault| format!("verifier: {fault}"))?;
    Ok((check.is_empty(), verify.is_empty()))
}
