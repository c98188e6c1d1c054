//! Guests that ask too much, nothing, or what no model can answer.

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::Reply;
use serde_json::Value;

use crate::{
    cases::{End, fails},
    stage::Stage,
};

cases! {
    a_guest_that_asks_without_end: hostile::asks_for_ever() => fails("guest_limit_exceeded");
    a_guest_that_asks_one_question_too_many: hostile::asks_many(33) => fails("guest_limit_exceeded");
    a_guest_that_asks_five_thousand_questions: hostile::asks_many(5_000) => fails("guest_limit_exceeded");
    a_guest_whose_question_is_over_the_limit: hostile::asks_a_prompt_of((2 << 20) + 1) => fails("guest_limit_exceeded");
    a_guest_that_asks_nothing: hostile::asks_nothing() => fails("guest_bad_output");
    a_guest_whose_answer_schema_is_no_json: hostile::asks_with_a_schema_that_is_none() => fails("guest_bad_output");
    [written out] {
        a_guest_whose_answer_schema_is_a_number => fails("llm_request_rejected");
        a_guest_whose_answer_schema_is_a_hundred_thousand_deep => fails("llm_request_rejected");
        a_guest_that_asks_for_a_model_that_there_is_not => End::IsHeld("llm_model_not_found");
        a_guest_that_asks_without_end_is_answered_four_times => fails("guest_limit_exceeded");
    }
}

/// JSON that is no schema is the provider's to refuse: this one refuses a request that it cannot read, or whose schema is no object.
async fn is_refused_by_the_provider(schema: &str) {
    let mut guest = WatGuest::new("asks");
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, Some(schema));
    let ask = guest.data.ask(&[prompt]);
    let mut stage = Stage::start(guest.advance(format!("(i32.const {ask})")), &[]).await;
    stage.world.model.respond(|call| {
        let readable = call.schema().is_some_and(Value::is_object);
        if readable { Reply::answer("{}") } else { Reply::error(400, "invalid_request_error", "invalid_schema") }
    });
    let file = stage.enqueue_hostile().await;
    for _ in 0..4 {
        stage.enqueue_neighbour().await;
    }
    stage.neighbours_succeed().await;
    stage.fails(file, "llm_request_rejected", 1).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_whose_answer_schema_is_a_number() {
    is_refused_by_the_provider("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_whose_answer_schema_is_a_hundred_thousand_deep() {
    is_refused_by_the_provider(&("{\"not\":".repeat(100_000) + "{}" + &"}".repeat(100_000))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_asks_for_a_model_that_there_is_not() {
    let mut guest = WatGuest::new("asks");
    let (question, alias) = (guest.data.text("What is it about?"), guest.data.text("no-such-model"));
    let mut prompt = guest.data.prompt(question, None);
    prompt[5..8].copy_from_slice(&[1, alias.0, alias.1]);
    let ask = guest.data.ask(&[prompt]);
    let mut stage = Stage::start(guest.advance(format!("(i32.const {ask})")), &[]).await;
    let file = stage.enqueue_hostile().await;
    stage.enqueue_neighbour().await;
    stage.neighbours_succeed().await;
    let held = stage.world.wait_for_job(file, |job| job.last_error_code.is_some()).await;
    assert_eq!(held.last_error_code.as_deref(), Some("llm_model_not_found"));
    assert_eq!(
        (held.status.as_str(), held.attempts),
        ("queued", 0),
        "the alias may be missing: the attempt is given back"
    );
    assert_eq!(stage.world.model.calls(), 1, "the neighbour's question alone went out");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_asks_without_end_is_answered_four_times() {
    let mut stage = Stage::start(hostile::asks_for_ever(), &[]).await;
    let file = stage.enqueue_hostile().await;
    let row = stage.fails(file, "guest_limit_exceeded", 1).await;
    assert_eq!(stage.world.model.calls(), 4, "as many rounds as there are");
    assert!(row.storage_key_raw_llm_output.is_some(), "what was paid for is kept");
    stage.close().await;
}
