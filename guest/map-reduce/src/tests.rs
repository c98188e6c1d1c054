//! The whole guest, natively, on its own fixtures.

use assay_guest::{Answer, Component, MAX_PROMPT_BYTES, Prompt, Ready, Rejection, Report, Step, Transcript};
use serde_json::{Value, json};

use super::{
    Minutes,
    notes::MAX_NOTES_BYTES,
    parts::{MAX_PARTS, MAX_TRANSCRIPT_BYTES},
};

const LONG: &str = include_str!("../fixtures/long/transcript.txt");
const LONG_ANSWERS: [&str; 4] = [
    include_str!("../fixtures/long/answers/1.json"),
    include_str!("../fixtures/long/answers/2.md"),
    include_str!("../fixtures/long/answers/3.json"),
    include_str!("../fixtures/long/answers/4.json"),
];

fn step_of(media_type: &str, text: &str, answers: &[&str]) -> Step {
    let transcript = Transcript {
        id: "1".into(),
        text: text.into(),
        media_type: media_type.into(),
        filename: "call.txt".into(),
        received_at: "2026-03-04T09:30:00Z".into(),
        attributes: vec![("team".into(), "museum".into())],
    };
    let answers: Vec<_> = answers.iter().map(|text| Answer { text: (*text).into(), model: "m".into() }).collect();
    Ready::<Minutes>::initialize().expect("initializes").advance(&transcript, &answers)
}

fn step(text: &str, answers: &[&str]) -> Step {
    step_of("text/plain", text, answers)
}

fn asked(step: Step) -> Vec<Prompt> {
    match step {
        Step::Ask(prompts) => prompts,
        other => panic!("it must ask: {other:?}"),
    }
}

fn accepted(step: Step) -> Report {
    match step {
        Step::Accept(report) => report,
        other => panic!("it must accept: {other:?}"),
    }
}

fn codes(report: &Report) -> Vec<&str> {
    report.notes.iter().map(|note| note.code.as_str()).collect()
}

fn user_message(prompt: &Prompt) -> &str {
    &prompt.messages[1].content
}

#[test]
fn a_short_transcript_is_one_question() {
    let text = include_str!("../fixtures/short/transcript.txt");
    let prompts = asked(step(text, &[]));
    assert_eq!(prompts.len(), 1);
    assert!(user_message(&prompts[0]).contains(text) && user_message(&prompts[0]).contains("- team: museum"));
    let report = accepted(step(text, &[include_str!("../fixtures/short/answers/1.json")]));
    assert_eq!(report.notes, []);
}

#[test]
fn a_long_transcript_is_asked_about_in_parts_and_then_joined() {
    let prompts = asked(step(LONG, &[]));
    assert_eq!(prompts.len(), 3);
    let shown: String = prompts
        .iter()
        .zip(1..)
        .map(|(prompt, number)| {
            let text = user_message(prompt);
            assert!(text.starts_with(&format!("This is part {number} of 3.\nReceived: 2026-03-04\n")), "{text}");
            assert!(prompt.answer_schema.as_deref().is_some_and(|schema| schema.contains("concerns")));
            text.split("<transcript>\n").nth(1).and_then(|rest| rest.split("</transcript>").next()).expect("fenced")
        })
        .collect();
    assert_eq!(shown, LONG, "every word is in exactly one part");

    let prompts = asked(step(LONG, &LONG_ANSWERS[..3]));
    assert_eq!(prompts.len(), 1);
    let text = user_message(&prompts[0]);
    assert!(text.contains("- team: museum") && text.contains("<notes>\nPart 1 of 3:\n{"), "{text}");
    assert!(text.contains("Pavel") && !text.contains("due_date\":null"), "fences and nulls are gone: {text}");
    assert!(!text.contains("Ines: "), "the transcript is not shown again");
    assert!(prompts[0].answer_schema.as_deref().is_some_and(|schema| schema.contains("risk_level")));

    let report = accepted(step(LONG, &LONG_ANSWERS));
    assert_eq!(codes(&report), ["read-in-parts"]);
    let document: Value = serde_json::from_str(&report.document).expect("is JSON");
    assert_eq!(document["next_steps"][2], json!({"owner": "Pavel", "action": "Keep an eye on the donors' wall."}));
}

#[test]
fn the_same_transcript_and_answers_give_the_same_step() {
    for answers in 0..=LONG_ANSWERS.len() {
        assert_eq!(step(LONG, &LONG_ANSWERS[..answers]), step(LONG, &LONG_ANSWERS[..answers]));
    }
    // Hosts complete a round before they call again. If one did not, the rest of the round would be asked.
    assert_eq!(asked(step(LONG, &LONG_ANSWERS[..1])), asked(step(LONG, &[]))[1..]);
}

#[test]
fn the_report_of_a_long_transcript_is_repaired_once() {
    let text = include_str!("../fixtures/repaired/transcript.vtt");
    let answers = [
        include_str!("../fixtures/repaired/answers/1.json"),
        include_str!("../fixtures/repaired/answers/2.json"),
        include_str!("../fixtures/repaired/answers/3.json"),
        include_str!("../fixtures/repaired/answers/4.json"),
    ];
    let step = |answers: &[&str]| step_of("text/vtt", text, answers);
    assert!(
        asked(step(&[]))
            .iter()
            .skip(1)
            .all(|prompt| user_message(prompt).contains("<transcript>\n74\n00:06:48.800 --> "))
    );
    let question = asked(step(&answers[..2])).remove(0);
    let repair = asked(step(&answers[..3])).remove(0);
    assert_eq!(repair.messages[..2], question.messages[..]);
    assert!(repair.messages[3].content.contains("/next_steps/0/due_date"));
    assert_eq!(codes(&accepted(step(&answers))), ["read-in-parts", "repaired"]);
}

#[test]
fn bad_notes_are_rejected_with_the_number_of_their_part() {
    let text = include_str!("../fixtures/unusable-part/transcript.txt");
    let good = include_str!("../fixtures/unusable-part/answers/1.json");
    let rejected = |answers: &[&str]| match step(text, answers) {
        Step::Reject(Rejection::Invalid(findings)) => {
            findings.into_iter().map(|f| format!("{} {}: {}", f.pointer, f.code, f.message)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let prose = include_str!("../fixtures/unusable-part/answers/2.txt");
    assert_eq!(rejected(&[good, prose]), [" not-json: part 2 of 2: invalid JSON at line 1 column 1"]);
    let long = json!({"points": ["x".repeat(MAX_NOTES_BYTES)], "next_steps": [], "concerns": []}).to_string();
    assert_eq!(
        rejected(&[r#"{"points": [1], "next_steps": [], "concerns": []}"#, &long]),
        [
            "/points/0 type: part 1 of 2: must be of type string",
            " notes-too-long: part 2 of 2: the notes are longer than 48 KiB"
        ]
    );
}

#[test]
fn the_notes_on_any_number_of_parts_fit_into_one_question() {
    let text = "Ines: Go on.\n".repeat(100_000);
    let frame = json!({"points": [""], "next_steps": [], "concerns": []}).to_string().len();
    let longest =
        json!({"points": ["x".repeat(MAX_NOTES_BYTES - frame)], "next_steps": [], "concerns": []}).to_string();
    let answers = vec![longest.as_str(); MAX_PARTS];
    let prompts = asked(step(&text, &answers));
    assert!(prompts[0].bytes() > MAX_PARTS * MAX_NOTES_BYTES && prompts[0].bytes() <= MAX_PROMPT_BYTES);
}

#[test]
fn a_transcript_over_the_limit_of_all_parts_is_unsupported() {
    let mut text = "x".repeat(MAX_TRANSCRIPT_BYTES);
    let prompts = asked(step(&text, &[]));
    // The host's limit for the output of one call (GUEST_OUTPUT_BYTES).
    assert!(prompts.iter().map(Prompt::bytes).sum::<usize>() < 8 << 20);
    text.push('x');
    let Step::Reject(Rejection::Unsupported(reason)) = step(&text, &[]) else { panic!("it must reject") };
    assert_eq!(reason, "the transcript has 6399991 bytes; at most 6399990 are read, in 30 parts of about 80000 tokens");
}
