//! Guests of a few lines, in the sandbox: fixtures, and the rules of admission.

use std::{collections::BTreeMap, path::Path};

use assay_conversation::JobLimits;
use assay_core::finding_code::{declared_codes, is_keyword};
use assay_guest_build::with_section;
use assay_guest_test::{
    Fault, Fixture, Guest, LoadError, Rule, RuleStatus, Step, TrialError, answer, examine, harness, step_json,
    transcript,
};
use assay_runtime::{
    Compiler, Runtime,
    testing::{WatGuest, hostile},
};
use bytes::Bytes;
use serde_json::{Value, json};

fn load(guest: &WatGuest) -> Guest {
    Guest::from_bytes(&guest.build()).unwrap()
}

fn fixture(answers: &[&str]) -> Fixture {
    let answers = answers.iter().map(|text| answer(*text)).collect();
    Fixture { name: "one".into(), transcript: transcript("words"), answers, expected: None, fuel: BTreeMap::new() }
}

#[test]
fn a_plain_test_loads_describes_advances_and_checks() {
    let guest = load(&WatGuest::new("good"));
    assert_eq!(guest.manifest().prompt_version, "good");
    let call = guest.advance(&transcript("words"), &[answer("{}")]);
    let Step::Accept(report) = call.result.unwrap() else { panic!("it must accept") };
    assert_eq!(report.document, "{}");
    assert!(call.fuel.is_some_and(|fuel| fuel > 0) && call.peak_memory >= 2 << 16);
    assert_eq!(guest.check("{}").result.unwrap(), []);
    assert!(Guest::load("/nowhere.wasm").is_err_and(|error| error.to_string().contains("/nowhere.wasm")));
    let refused = Guest::from_bytes(b"(component)").err().map(|error| error.to_string());
    assert_eq!(refused, Some(LoadError::Text.to_string()));
}

#[test]
fn a_fixture_ends_with_the_step_after_its_last_answer() {
    let guest = load(&WatGuest::new("good"));
    let asked = guest.trial(&fixture(&[])).unwrap();
    assert!(matches!(asked.step, Step::Ask(_)) && asked.rounds.is_empty());
    let done = guest.trial(&fixture(&["{}"])).unwrap();
    assert_eq!(step_json(&done.step), json!({"accept": {"document": {}, "notes": []}}));
    assert_eq!(done.rounds.len(), 1);
    assert!(done.fuel > asked.fuel, "both calls count");
    assert_eq!(done.fuel, guest.trial(&fixture(&["{}"])).unwrap().fuel, "the same on every run");
}

#[test]
fn a_fixture_that_does_not_fit_its_guest_names_the_change() {
    let good = load(&WatGuest::new("good"));
    assert_eq!(good.trial(&fixture(&["{}", "{}"])).unwrap_err(), TrialError::AnswersLeft { used: 1, given: 2 });
    let many = load(&hostile::asks_many(3));
    let missing = TrialError::AnswersMissing { call: 1, asked: 3, left: 2 };
    assert_eq!(many.trial(&fixture(&["{}", "{}"])).unwrap_err(), missing);
}

#[test]
fn a_fixture_is_held_to_the_limits_of_a_worker() {
    let assert_error = |guest: &WatGuest, answers: &[&str], limit: &str| {
        let error = load(guest).trial(&fixture(answers)).unwrap_err().to_string();
        assert!(error.contains(limit), "{limit}: {error}");
    };
    assert_error(&hostile::asks_nothing(), &["{}"], "no_prompts");
    assert_error(&hostile::asks_many(33), &["{}"], "GUEST_MAX_PROMPTS");
    assert_error(&hostile::asks_for_ever(), &["{}"; 5], "GUEST_MAX_ROUNDS");
    assert_error(&hostile::asks_a_prompt_of(3 << 20), &[], "PROMPT_MAX_BYTES");
    assert_error(&hostile::accepts_nested(129), &["{}"], "REPORT_MAX_DEPTH");
    let trapped = load(&hostile::traps("(unreachable)")).trial(&fixture(&[])).unwrap_err();
    assert!(matches!(trapped, TrialError::Fault { call: 1, fault: Fault::Trap(_) }), "{trapped}");
}

#[test]
fn a_component_carries_its_fixtures() {
    let component = WatGuest::new("good").build();
    assert_eq!(Fixture::carried_by(&component).unwrap(), []);
    let fixtures = [fixture(&["{}"])];
    let carrying = Fixture::put_into(&component, &fixtures).unwrap();
    assert_eq!(Fixture::carried_by(&carrying).unwrap(), fixtures);
    Guest::from_bytes(&carrying).unwrap();
    let damaged = with_section(&component, "assay:fixtures", b"{").unwrap();
    assert!(Fixture::carried_by(&damaged).is_err());
}

/// Returns the broken rules, as "name: detail".
async fn broken(component: &[u8], fixtures: &[Fixture]) -> Vec<String> {
    let rules = rules(component, fixtures).await;
    let after = rules.iter().skip_while(|rule| rule.verdict != RuleStatus::Failed).skip(1);
    for rule in after {
        assert!(rule.verdict != RuleStatus::Ok || rule.name == "second check", "{rule:?}");
    }
    let failed = rules.iter().filter(|rule| rule.verdict == RuleStatus::Failed);
    failed.map(|rule| format!("{}: {}", rule.name, rule.detail)).collect()
}

async fn rules(component: &[u8], fixtures: &[Fixture]) -> Vec<Rule> {
    let folder = tempfile::tempdir().unwrap();
    let generic = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/dist/core/generic.wasm"))
        .expect("run `cargo xtask guests` first; `cargo xtask test` does");
    let options = harness(folder.path().join("cache"), Compiler::InProcess, Bytes::from(generic));
    let runtime = Runtime::new(options).unwrap();
    let rules = examine(&runtime, component, fixtures, &JobLimits::default()).await.unwrap();
    assert_eq!(rules.len(), 9, "every rule is listed");
    for rule in &rules {
        let cured = matches!(rule.verdict, RuleStatus::Failed | RuleStatus::Warning);
        assert_eq!(rule.cure.is_some(), cured, "{rule:?}");
    }
    rules
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_keeps_every_rule_passes() {
    let schema = r#"{"type":"object"}"#;
    // Its own check reads the first byte only.
    let mut guest = WatGuest::new("good").schema(schema);
    let none = guest.data.words(&[0, 0]);
    let finding = guest.data.text("type");
    let (pointer, message) = (guest.data.text(""), guest.data.text("is no object"));
    let findings = guest.data.words(&[finding.0, finding.1, pointer.0, pointer.1, message.0, message.1]);
    let one = guest.data.words(&[findings, 1]);
    let guest = guest.check(format!(
        "(select (i32.const {none}) (i32.const {one}) (i32.eq (i32.load8_u (local.get $document)) (i32.const 123)))"
    ));
    let accepted = Fixture { expected: Some(json!({"accept": {"document": {}, "notes": []}})), ..fixture(&["{}"]) };
    let rules = rules(&guest.build(), &[accepted]).await;
    assert!(rules.iter().all(|rule| rule.verdict == RuleStatus::Ok), "{rules:?}");
    let names: Vec<_> = rules.iter().map(|rule| rule.name).collect();
    let expected = ["size", "binary", "imports", "world", "compile", "describe", "schema", "fixtures", "second check"];
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_fixtures_their_rules_are_warnings() {
    let rules = rules(&WatGuest::new("good").build(), &[]).await;
    let warned: Vec<_> =
        rules.iter().filter(|rule| rule.verdict == RuleStatus::Warning).map(|rule| rule.name).collect();
    assert_eq!(warned, ["fixtures", "second check"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_rule_is_named_and_those_after_it_are_skipped() {
    let one = |broken: Vec<String>| broken.into_iter().next().unwrap_or_default();
    assert!(one(broken(b"(component)", &[]).await).starts_with("binary: "));
    assert!(one(broken(&vec![0; 33 << 20], &[]).await).starts_with("size: "));
    assert!(one(broken(&hostile::imports("wasi:cli/environment@0.2.0"), &[]).await).starts_with("imports: "));
    assert!(one(broken(&wat::parse_str("(component)").unwrap(), &[]).await).starts_with("world: "));
    assert!(one(broken(&hostile::begins_with_much_memory().build(), &[]).await).starts_with("compile: "));
    assert!(one(broken(&hostile::spins_in_describe().build(), &[]).await).starts_with("describe: "));
    let no_codes = WatGuest::new("x").schema(r#"{"type":"object","x-assay-codes":["Bob"]}"#);
    let no_codes = one(broken(&no_codes.build(), &[]).await);
    assert!(no_codes.starts_with("describe: ") && no_codes.contains("x-assay-codes"), "{no_codes}");
    let no_schema = WatGuest::new("x").schema(r#"{"type":"objekt"}"#);
    assert!(one(broken(&no_schema.build(), &[]).await).starts_with("schema: "));
}

/// Returns the codes of a step's findings.
fn codes(step: &Value) -> Vec<&str> {
    let findings = [step.pointer("/accept/notes"), step.pointer("/reject/invalid")];
    let findings = findings.into_iter().flatten().flat_map(|found| found.as_array().into_iter().flatten());
    findings.filter_map(|finding| finding["code"].as_str()).collect()
}

#[test]
fn the_codes_of_our_own_guests_are_declared() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (guest, schema) in
        [("meeting-v1", "report.v1"), ("meeting-v2", "report.v2"), ("repair", "report.v1"), ("map-reduce", "report.v1")]
    {
        let schema = std::fs::read_to_string(root.join("schemas").join(format!("{schema}.json"))).unwrap();
        let declared = declared_codes(&serde_json::from_str(&schema).unwrap()).unwrap();
        for fixture in Fixture::of(&root.join("guest").join(guest)).unwrap() {
            let step = fixture.expected.unwrap();
            let unknown: Vec<_> =
                codes(&step).into_iter().filter(|code| !is_keyword(code) && !declared.contains(*code)).collect();
            assert!(unknown.is_empty(), "{guest}, {}: {unknown:?}", fixture.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixture_that_fails_breaks_a_rule() {
    let unexpected = Fixture { expected: Some(json!({"ask": []})), ..fixture(&["{}"]) };
    let broken_rules = broken(&WatGuest::new("good").build(), &[fixture(&["{}"])]).await;
    assert_eq!(broken_rules.first().map(String::as_str), Some("fixtures: one: no step is accepted for it yet"));
    let broken_rules = broken(&WatGuest::new("good").build(), &[unexpected]).await;
    assert_eq!(broken_rules.first().map(String::as_str), Some("fixtures: one: the step is not the expected one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_disagrees_with_the_schema_breaks_a_rule() {
    // Its `check` finds nothing wrong with anything.
    let strict = WatGuest::new("lenient").schema(r#"{"type":"object","required":["a"]}"#).document(r#"{"a":1}"#);
    let ends_with = |document: Value| Fixture {
        expected: Some(json!({"accept": {"document": document, "notes": []}})),
        ..fixture(&["{}"])
    };
    let broken_rules = broken(&strict.build(), &[ends_with(json!({"a": 1}))]).await;
    let [broken_rules] = &broken_rules[..] else { panic!("{broken_rules:?}") };
    assert!(
        broken_rules.starts_with("second check: the guest takes and the verifier refuses mutation "),
        "{broken_rules}"
    );
    let broken_report = hostile::breaks_its_own_schema().build();
    let broken_rules = broken(&broken_report, &[ends_with(json!({"summary": "no overview"}))]).await;
    assert_eq!(broken_rules, ["second check: a report that the guest accepts breaks its schema"]);
}
