//! The rules of admission, one by one: what a worker demands of a component, and what whoever publishes one should.

use assay_conversation::JobLimits;
use assay_guest_build::{imports, toolchain};
use assay_runtime::{Guest, LoadError, Runtime, Step, Verifier};
use serde::Serialize;
use serde_json::Value;

use crate::{
    fixture::Fixture,
    mutate::Mutations,
    shown::shown,
    trial::{self, Trial, Trouble},
};

/// How many mutations of the fixtures' documents the guest and the host's verifier must agree on.
const MUTATIONS: usize = 1000;
/// The order in which rules are told.
const NAMES: [&str; 9] =
    ["size", "binary", "imports", "world", "compile", "describe", "schema", "fixtures", "second check"];

/// How a rule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Kept.
    Ok,
    /// Kept as far as it can be seen.
    Warning,
    /// Broken: no worker should run it.
    Failed,
    /// Not looked at, because an earlier rule is broken.
    Skipped,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub cure: Option<String>,
}

impl Rule {
    fn new(name: &'static str, verdict: Verdict, detail: impl Into<String>, cure: Option<&str>) -> Self {
        Self { name, verdict, detail: detail.into(), cure: cure.map(str::to_owned) }
    }

    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, detail, None)
    }

    fn failed(name: &'static str, detail: impl Into<String>, cure: &str) -> Self {
        Self::new(name, Verdict::Failed, detail, Some(cure))
    }
}

/// Holds a component to every rule; `fixtures` are those that it carries, or those of its folder.
///
/// # Errors
/// What is no fault of the guest's: the cache, the compiler, the memory of this machine.
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
            let (detail, cure) = told(&error);
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
        trials.push((fixture, trial::run(&guest, fixture, limits).await));
    }
    rules.push(fixtures_rule(&trials));
    rules.push(second_check(&guest, &verifier, &trials, limits).await);
    Ok(rules)
}

/// The rules that a component which does not load breaks and keeps.
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
    let before = NAMES.iter().take_while(|rule| **rule != name);
    let mut rules: Vec<Rule> = before.map(|rule| Rule::ok(rule, kept(rule, component, limit))).collect();
    let (detail, cure) = told(&error);
    rules.push(Rule::failed(name, detail, &cure));
    rules.extend(skipped_after(name));
    Ok(rules)
}

/// The rules that every component which loads keeps.
fn admitted(component: &[u8], guest: &Guest, limit: usize) -> Vec<Rule> {
    let manifest = guest.manifest();
    let described = format!("{}, schema {}", manifest.prompt_version, manifest.schema_version);
    let loaded = NAMES.iter().take_while(|rule| **rule != "describe");
    let mut rules: Vec<Rule> = loaded.map(|rule| Rule::ok(rule, kept(rule, component, limit))).collect();
    rules.push(Rule::ok("describe", described));
    rules
}

/// What there is to see where a rule of loading is kept.
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

/// The error's own words, divided into what is and what to do.
fn told(error: &LoadError) -> (String, String) {
    let text = error.to_string();
    let cure = "correct the guest and build it again";
    let (detail, cure) = text.split_once("; ").unwrap_or((&text, cure));
    (detail.to_owned(), cure.to_owned())
}

fn skipped_after(name: &str) -> impl Iterator<Item = Rule> {
    let after = NAMES.iter().skip_while(move |rule| **rule != name).skip(1);
    after.map(|rule| Rule::new(rule, Verdict::Skipped, "an earlier rule is broken", None))
}

type Trials<'a> = [(&'a Fixture, Result<Trial, Trouble>)];

fn fixtures_rule(trials: &Trials<'_>) -> Rule {
    const NAME: &str = "fixtures";
    if trials.is_empty() {
        let cure = "give it some in the folder `fixtures` and build it again";
        return Rule::new(NAME, Verdict::Warning, "it carries none", Some(cure));
    }
    for (fixture, trial) in trials {
        let wrong = match trial {
            Err(trouble) => trouble.to_string(),
            Ok(trial) => match &fixture.expected {
                Some(step) if *step == shown(&trial.step) => continue,
                Some(_) => "the step is not the expected one".to_owned(),
                None => "nobody has accepted a step for it".to_owned(),
            },
        };
        return Rule::failed(NAME, format!("{}: {wrong}", fixture.name), "run `assay guest test` on its folder");
    }
    let peak = trials.iter().filter_map(|(_, trial)| trial.as_ref().ok()).map(|trial| trial.peak_memory).max();
    let peak = peak.unwrap_or_default() as f64 / f64::from(1 << 20);
    Rule::ok(NAME, format!("{} pass, each twice alike and within the limits; at most {peak:.1} MiB", trials.len()))
}

/// The guest's `check` and the host's verifier say the same of every document and of mutations of it.
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
        return Rule::new(NAME, Verdict::Warning, "no fixture has a report to try it on", Some(cure));
    }
    for document in &documents {
        match judge(guest, verifier, document).await {
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
        // Mutations never end. What is too large is for neither of the two to judge.
        let Some(mutation) = mutations[turn].find(|document| document.to_string().len() <= limits.report_bytes) else {
            break;
        };
        number += 1;
        match judge(guest, verifier, &mutation).await {
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

/// Whether guest and verifier find nothing wrong.
async fn judge(guest: &Guest, verifier: &Verifier, document: &Value) -> Result<(bool, bool), String> {
    let document = document.to_string();
    let (check, verify) = tokio::join!(guest.check(&document), verifier.check(&document));
    let check = check.result.map_err(|fault| format!("check: {fault}"))?;
    let verify = verify.result.map_err(|fault| format!("verifier: {fault}"))?;
    Ok((check.is_empty(), verify.is_empty()))
}
