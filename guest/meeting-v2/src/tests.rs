//! The whole guest, natively.

use assay_guest::{Answer, Component, Ready, Rejection, Report, Step, Transcript};
use serde_json::{Value, json};

use super::Meeting;

const VTT: &str = "WEBVTT\n\n00:00:01.000 --> 00:00:04.000\n<v Anna>We decided to ship\n\n00:00:04.000 --> 00:00:06.000\n<v Anna>on the ninth.\n";

fn step(answers: &[String]) -> Step {
    let transcript = Transcript {
        id: "1".into(),
        text: VTT.into(),
        media_type: "text/vtt".into(),
        filename: "call.vtt".into(),
        received_at: "2026-03-04T09:30:00Z".into(),
        attributes: vec![],
    };
    let answers: Vec<_> = answers.iter().map(|text| Answer { text: text.clone(), model: "m".into() }).collect();
    Ready::<Meeting>::initialize().expect("initializes").advance(&transcript, &answers)
}

fn answer() -> Value {
    json!({
        "overview": "  The team ships.\nOn the ninth. ", "highlights": ["Ship it", "ship it."], "decisions": ["Ship"], "open_questions": [""],
        "next_steps": [{"owner": "Anna", "action": "announce", "due_date": "by Friday"}, {"owner": "Boris", "action": "rest", "due_date": null}],
        "participants": ["Boris", "anna", "Anna "], "risk_level": " Low ",
        "quotes": [{"text": "We decided to ship on the ninth.", "speaker": "Anna"}, {"text": "I love marker", "speaker": null}]
    })
}

fn accepted(text: String) -> Report {
    match step(&[text]) {
        Step::Accept(report) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_is_arranged_and_invented_quotes_become_notes() {
    let report = accepted(format!("Sure!\n```json\n{}\n```", answer()));
    let document: Value = serde_json::from_str(&report.document).expect("is JSON");
    assert_eq!(
        document,
        json!({
            "summary": "The team ships. On the ninth.", "overview": "The team ships. On the ninth.",
            "highlights": ["Ship it"], "decisions": ["Ship"], "open_questions": [],
            "next_steps": [{"owner": "Anna", "action": "announce", "due_date": "2026-03-06"}, {"owner": "Boris", "action": "rest"}],
            "participants": ["anna", "Boris"], "risk_level": "low",
            "quotes": [{"text": "We decided to ship on the ninth.", "speaker": "Anna", "at": "00:00:01.000"}]
        })
    );
    assert_eq!(report.notes.iter().map(|note| note.code.as_str()).collect::<Vec<_>>(), ["quote-not-found"]);
    assert!(!format!("{:?}", report.notes).contains("marker"), "a note quotes nothing");
}

#[test]
fn postprocessing_is_idempotent() {
    let once = accepted(answer().to_string()).document;
    assert_eq!(accepted(once.clone()).document, once);
}

#[test]
fn the_model_is_not_asked_for_what_the_guest_writes() {
    let Step::Ask(prompts) = step(&[]) else { panic!("it must ask") };
    let schema: Value =
        serde_json::from_str(prompts[0].answer_schema.as_deref().expect("has a schema")).expect("is JSON");
    assert!(schema["properties"].get("summary").is_none());
    assert_eq!(schema["properties"]["quotes"]["items"]["required"], json!(["speaker", "text"]));
    let due = schema["properties"]["next_steps"]["items"]["properties"]["due_date"]["description"].as_str();
    assert!(due.is_some_and(|text| text.contains("by Friday") && !text.contains("format")), "{due:?}");
}

#[test]
fn an_answer_of_another_shape_is_rejected() {
    for text in [
        "{}",
        "[]",
        "null",
        "7",
        "\"text\"",
        r#"{"quotes": 1, "next_steps": {}, "highlights": "x", "overview": 1, "participants": [{}], "risk_level": []}"#,
    ] {
        assert!(matches!(step(&[text.to_owned()]), Step::Reject(Rejection::Invalid(_))), "{text}");
    }
    assert!(matches!(step(&["no JSON".to_owned()]), Step::Reject(Rejection::NotJson(_))));
    let mut severe = answer();
    severe["risk_level"] = json!("severe");
    let Step::Reject(Rejection::Invalid(findings)) = step(&[severe.to_string()]) else { panic!("it must reject") };
    assert_eq!((findings.len(), findings[0].pointer.as_str(), findings[0].code.as_str()), (1, "/risk_level", "enum"));
}
