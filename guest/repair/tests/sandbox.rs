//! The guest in its sandbox, under a worker's limits, as `cargo xtask guests` built it.

use std::path::Path;

use assay_guest_test::{Fixture, Guest, Rejection, Step, answer, same_step, step_json, transcript};

/// Twice the fuel of a call, so that a costlier call fails here and not in production.
const MAX_CALL_FUEL: u64 = 12_000_000;
const MAX_CALL_MEMORY_BYTES: usize = 16 << 20;

fn guest() -> Guest {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/examples/repair.wasm");
    Guest::load(file).expect("`cargo xtask guests` builds it")
}

#[test]
fn the_manifest_names_the_prompt_and_the_schema() {
    let guest = guest();
    let manifest = guest.manifest();
    assert_eq!(
        (manifest.prompt_version.as_str(), manifest.schema_version.as_str()),
        ("meeting-repair-v1", "report.v1")
    );
}

#[test]
fn prose_is_asked_about_exactly_once_more() {
    let guest = guest();
    let call = transcript("Anna: I send the offer by Friday.");
    let bad = answer("It went well.");
    for (answers, asks) in [(vec![], true), (vec![bad.clone()], true), (vec![bad.clone(), bad], false)] {
        let called = guest.advance(&call, &answers);
        assert!(called.fuel.expect("tests count fuel") < MAX_CALL_FUEL, "{:?}", called.fuel);
        assert!(called.peak_memory < MAX_CALL_MEMORY_BYTES, "{}", called.peak_memory);
        match called.result.expect("the guest stays within its limits") {
            Step::Ask(prompts) => assert!(asks && prompts.len() == 1),
            Step::Reject(rejection) => assert!(!asks && matches!(rejection, Rejection::NotJson(_))),
            Step::Accept(report) => panic!("accepted {}", report.document),
        }
    }
}

#[test]
fn check_finds_exactly_what_breaks_the_schema() {
    let guest = guest();
    let found = |document: &str| {
        let findings = guest.check(document).result.expect("checks");
        findings.into_iter().map(|finding| (finding.code, finding.pointer)).collect::<Vec<_>>()
    };
    let good = include_str!("../fixtures/good-at-once/answers/1.json");
    assert_eq!(found(good), []);
    let bad = include_str!("../fixtures/still-bad/answers/1.json");
    let expected = [("format", "/next_steps/0/due_date"), ("enum", "/risk_level")];
    assert_eq!(found(bad), expected.map(|(code, pointer)| (code.to_owned(), pointer.to_owned())));
}

#[test]
fn every_fixture_takes_its_expected_step() {
    let guest = guest();
    let fixtures = Fixture::of(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("reads");
    assert!(!fixtures.is_empty());
    for fixture in &fixtures {
        let trial = guest.trial(fixture).expect("runs");
        let expected = fixture.expected.as_ref().expect("a step");
        assert!(same_step(expected, &step_json(&trial.step)), "{}", fixture.name);
    }
}
