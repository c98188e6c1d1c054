//! Answers that are worth nothing: kept, and never bought again.

use assay_tests::{Operation, Reply, World};
use serde_json::json;

use crate::fixtures::{TRANSCRIPT, VERSION, answer, env, object, worker};

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
