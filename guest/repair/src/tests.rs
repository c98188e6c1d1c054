//! The whole guest, natively, on its own fixtures.

use assay_guest::{Answer, Component, Ready, Rejection, Step, Transcript};
use serde_json::{Value, json};

use super::Meeting;

const GOOD: &str = include_str!("../fixtures/good-at-once/answers/1.json");
const BAD: &str = include_str!("../fixtures/still-bad/answers/1.json");
const STILL_BAD: &str = include_str!("../fixtures/still-bad/answers/2.json");
const PROSE: &str = include_str!("../fixtures/repaired-from-prose/answers/1.txt");

fn step(answers: &[&str]) -> Step {
    let transcript = Transcript {
        id: "1".into(),
        text: include_str!("../fixtures/repaired/transcript.txt").into(),
        media_type: "text/plain".into(),
        filename: "call.txt".into(),
        received_at: "2026-03-04T09:30:00Z".into(),
        attributes: vec![],
    };
    let answers: Vec<_> = answers.iter().map(|text| Answer { text: (*text).into(), model: "m".into() }).collect();
    Ready::<Meeting>::initialize().expect("initializes").advance(&transcript, &answers)
}

fn asked(answers: &[&str]) -> Vec<(String, String)> {
    let Step::Ask(mut prompts) = step(answers) else { panic!("it must ask") };
    assert_eq!(prompts.len(), 1);
    prompts.remove(0).messages.into_iter().map(|message| (message.role, message.content)).collect()
}

fn accepted(answers: &[&str]) -> (Value, Vec<String>) {
    let Step::Accept(report) = step(answers) else { panic!("it must accept") };
    let document = serde_json::from_str(&report.document).expect("is JSON");
    (document, report.notes.into_iter().map(|note| note.code).collect())
}

#[test]
fn a_good_answer_needs_no_second_question() {
    assert_eq!(asked(&[]).len(), 2);
    let (document, notes) = accepted(&[GOOD]);
    assert_eq!(document["next_steps"][0]["due_date"], json!("2026-03-06"));
    assert_eq!(notes, [""; 0]);
}

#[test]
fn an_invalid_answer_is_asked_for_again_with_its_findings() {
    let first = asked(&[]);
    let second = asked(&[BAD]);
    assert_eq!(second[..2], first[..], "the second question continues the first");
    assert_eq!(second[2], ("assistant".to_owned(), BAD.to_owned()));
    let (role, findings) = &second[3];
    assert_eq!((role.as_str(), second.len()), ("user", 4));
    for finding in [
        "- /next_steps/0/due_date: is not a valid date (format)\n",
        "- /risk_level: is none of the allowed values (enum)\n",
    ] {
        assert!(findings.contains(finding), "{findings}");
    }
    assert!(!findings.contains("severe") && !findings.contains("Friday"), "{findings}");
    assert_eq!(accepted(&[BAD, GOOD]), (accepted(&[GOOD]).0, vec!["repaired".to_owned()]));
}

#[test]
fn prose_is_repaired_too() {
    assert!(asked(&[PROSE])[3].1.contains("not-json"));
    assert_eq!(accepted(&[PROSE, GOOD]).1, ["repaired"]);
}

#[test]
fn a_second_bad_answer_is_rejected_with_its_own_findings() {
    let Step::Reject(Rejection::Invalid(findings)) = step(&[BAD, STILL_BAD]) else { panic!("it must reject") };
    assert_eq!((findings.len(), findings[0].pointer.as_str(), findings[0].code.as_str()), (1, "/risk_level", "enum"));
    assert!(matches!(step(&[BAD, PROSE]), Step::Reject(Rejection::NotJson(_))));
}
