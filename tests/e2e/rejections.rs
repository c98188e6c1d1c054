//! Answers that are worth nothing: kept, and never bought again.

use assay_runtime::testing::WatGuest;
use assay_tests::{FileRow, Operation, Reply, World};
use serde_json::{Value, json};

use crate::fixtures::{TRANSCRIPT, VERSION, answer, env, env_with_guests, object, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_the_schema_is_kept_and_fails_without_retry() {
    let world = World::start().await;
    world.model.always(Reply::json(&json!({ "overview": "Only this.", "risk_level": "sky-high" })));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    assert_eq!(file.storage_key_report, None);
    let raw = object(&world, &file.storage_key_raw_llm_output.expect("the raw output")).await;
    assert_eq!(raw["code"], "schema_validation_failed");
    assert_eq!(raw["prompt_version"], VERSION);
    assert!(raw["answers"][0]["answer"]["text"].as_str().is_some_and(|text| text.contains("sky-high")));
    assert_eq!(raw["answers"][0]["answer"]["finish_reason"], "stop");
    assert!(raw["findings"].as_array().is_some_and(|found| !found.is_empty()));

    let message = file.error_message.expect("a message");
    assert!(message.contains("required") && message.contains("/risk_level"), "{message}");
    assert!(!message.contains("sky-high"), "no value of the answer: {message}");
    let job = world.job(id).await;
    assert_eq!((job.status.as_str(), job.attempts), ("failed", 1));
    assert_eq!(world.model.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_json_is_kept_too() {
    let world = World::start().await;
    world.model.always(Reply::answer("I would rather write prose."));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    let raw = object(&world, &file.storage_key_raw_llm_output.expect("the raw output")).await;
    assert_eq!(raw["rejection"]["kind"], "not_json");
    assert_eq!(raw["answers"][0]["answer"]["text"], "I would rather write prose.");
    assert_eq!(world.model.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_refused_and_filtered_answers_are_kept_and_coded() {
    let world = World::start().await;
    world.model.respond(|call| {
        let whole = Reply::json(&answer());
        match call.text() {
            text if text.contains("TRUNCATE") => whole.finish_reason("length"),
            text if text.contains("FILTER") => whole.finish_reason("content_filter"),
            _ => Reply::refusal("I would rather not."),
        }
    });
    let _worker = worker(&env(&world)).await;
    for (transcript, code) in [
        ("TRUNCATE this", "llm_output_truncated"),
        ("FILTER this", "llm_content_filtered"),
        ("REFUSE this", "llm_refused"),
    ] {
        let id = world.enqueue(transcript).await;
        let file = world.wait_for_status(id, "failed").await;
        assert_eq!(file.error_code.as_deref(), Some(code));
        let raw = object(&world, &file.storage_key_raw_llm_output.expect("the raw output")).await;
        assert_eq!(raw["answers"].as_array().map(Vec::len), Some(1), "{code}");
        assert_eq!(world.attempts(id).await.len(), 1, "{code} is never retried");
    }
    assert_eq!(world.model.calls(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_ends_the_job_even_where_its_raw_output_cannot_be_written() {
    let world = World::start().await;
    world.model.always(Reply::answer("no JSON"));
    world.objects.fault_always(
        Operation::Put,
        "raw_llm_output.json",
        assay_tests::Fault::Status { status: 403, code: "AccessDenied" },
    );
    let worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    assert_eq!(file.storage_key_raw_llm_output, None);
    worker.wait_for_line("raw_output_write_failed").await;
}

/// Returns a guest that logs a line in its first call and then does `body`.
fn logs_and(mut guest: WatGuest, body: &str) -> WatGuest {
    let (at, length) = guest.data.text("it speaks of a merger");
    guest.imports_log().advance(format!("(call $log (i32.const 2) (i32.const {at}) (i32.const {length})) {body}"))
}

/// Runs a job of a guest that fails before the first answer. Returns its file, and what is in the run folder.
async fn fail_before_an_answer(guest: WatGuest) -> (FileRow, Option<Value>) {
    let world = World::start().await;
    let changes = [("GUEST_CALL_TIMEOUT_MS", "500"), ("JOB_BACKOFF_MS", "1")];
    let _worker = worker(&with(env_with_guests(&world, &[guest]), &changes)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!((world.model.calls(), &file.storage_key_report), (0, &None));
    let raw = match &file.storage_key_raw_llm_output {
        Some(key) => Some(object(&world, key).await),
        None => None,
    };
    (file, raw)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_guest_that_fails_before_an_answer_is_kept() {
    let mut asks_nothing = WatGuest::new("words");
    let none = asks_nothing.data.ask(&[]);
    let mut asks_much = WatGuest::new("words");
    let question = asks_much.data.text("What is it about?");
    let prompt = asks_much.data.prompt(question, None);
    let much = asks_much.data.ask(&[prompt; 33]);
    for (guest, body, code) in [
        (WatGuest::new("words"), "(unreachable)".to_owned(), "guest_trap"),
        (WatGuest::new("words"), "(loop $again (br $again)) (unreachable)".to_owned(), "guest_timeout"),
        (asks_nothing, format!("(i32.const {none})"), "guest_bad_output"),
        (asks_much, format!("(i32.const {much})"), "guest_limit_exceeded"),
    ] {
        let (file, raw) = fail_before_an_answer(logs_and(guest, &body)).await;
        assert_eq!(file.error_code.as_deref(), Some(code));
        let raw = raw.unwrap_or_else(|| panic!("{code}: the words of the guest"));
        assert_eq!(
            (&raw["code"], &raw["answers"], &raw["prompt_version"]),
            (&json!(code), &json!([]), &json!("words"))
        );
        assert_eq!(raw["log"], json!([{ "level": "warn", "message": "it speaks of a merger" }]), "{code}");
        assert!(!file.error_message.unwrap_or_default().contains("merger"), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_rejects_the_transcript_leaves_its_reasons() {
    let mut unsupported = WatGuest::new("unsupported");
    let (at, length) = unsupported.data.text("it is about a merger");
    let reject = unsupported.data.step(&[2, 2, at, length]);
    let (file, raw) = fail_before_an_answer(unsupported.advance(format!("(i32.const {reject})"))).await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    let raw = raw.expect("the reasons of the guest");
    assert_eq!(raw["rejection"], json!({ "kind": "unsupported", "message": "it is about a merger" }));
    assert_eq!(raw["answers"], json!([]));

    let mut invalid = WatGuest::new("invalid");
    let reject = invalid.data.reject("required", "/owner", "a merger has no owner");
    let (file, raw) = fail_before_an_answer(invalid.advance(format!("(i32.const {reject})"))).await;
    let findings = json!([{ "code": "required", "pointer": "/owner", "message": "a merger has no owner" }]);
    assert_eq!(raw.expect("the findings of the guest")["findings"], findings);
    assert!(!file.error_message.unwrap_or_default().contains("merger"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notes_on_a_report_that_is_refused_are_kept() {
    for (document, findings) in [("{}", 1), ("no JSON", 0)] {
        let mut guest = WatGuest::new("hasty").schema(r#"{"type":"object","required":["overview"]}"#);
        let note = ["merger", "/merger", "it is about a merger"].map(|text| guest.data.text(text));
        let note = guest.data.words(&note.map(|(at, length)| [at, length]).concat());
        let (at, length) = guest.data.text(document);
        let accept = guest.data.step(&[1, at, length, note, 1]);
        let (file, raw) = fail_before_an_answer(guest.advance(format!("(i32.const {accept})"))).await;
        assert_eq!(file.error_code.as_deref(), Some("report_invalid"), "{document}");
        let raw = raw.unwrap_or_else(|| panic!("{document}: the notes of the guest"));
        let note = json!([{ "code": "merger", "pointer": "/merger", "message": "it is about a merger" }]);
        assert_eq!(raw["notes"], note, "{document}");
        assert_eq!(raw["findings"].as_array().map_or(0, Vec::len), findings, "what the second check found");
        assert!(!file.error_message.unwrap_or_default().contains("merger"), "{document}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_fails_without_a_word_leaves_no_raw_output() {
    let (file, raw) = fail_before_an_answer(WatGuest::new("silent").advance("(unreachable)")).await;
    assert_eq!((file.error_code.as_deref(), raw), (Some("guest_trap"), None));
}

/// A success whose message has reasoning and no answer.
fn reasoning(words: &str) -> Reply {
    Reply::answer("").usage(100, 20).edit(|completion| {
        completion["choices"][0]["message"] = json!({ "content": null, "reasoning_content": words });
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_unreadable_answer_twice_ends_the_job_and_each_is_kept_and_counted() {
    let world = World::start().await;
    world.model.always(reasoning("They talked."));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("llm_bad_envelope"));
    assert_eq!(world.model.calls(), 2, "a third one would be the same");
    let attempts = world.attempts(id).await;
    assert_eq!(attempts.iter().map(|attempt| attempt.outcome.as_str()).collect::<Vec<_>>(), ["retried", "failed"]);
    let tokens: Vec<_> = attempts.iter().map(|attempt| (attempt.tokens_in, attempt.tokens_out)).collect();
    assert_eq!(tokens, [(100, 20), (100, 20)]);
    let raw = object(&world, &file.storage_key_raw_llm_output.expect("the raw output")).await;
    assert!(raw["unreadable"][0].as_str().is_some_and(|body| body.contains("They talked.")), "{raw}");
    assert_eq!(raw["answers"], json!([]));
    let kept = world.objects.list("users/").into_iter().filter(|key| key.ends_with("/raw_llm_output.json"));
    assert_eq!(kept.count(), 2, "each attempt keeps what it paid for");
    assert!(!file.error_message.expect("a message").contains("talked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_unreadable_answer_and_a_page_are_asked_for_again() {
    let world = World::start().await;
    for reply in [reasoning("One."), Reply::html(), Reply::html(), Reply::json(&answer())] {
        world.model.push(reply);
    }
    let _worker = worker(&with(env(&world), &[("JOB_BACKOFF_MS", "1,1,1")])).await;
    let id = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.model.calls(), 4);
}
