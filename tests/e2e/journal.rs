//! An answer that was received is never bought again.

use assay_runtime::testing::hostile;
use assay_tests::{Fault, Gate, Operation, Reply, World};
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, answer, die, env, env_with_guests, short_leases, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_received_answer_is_not_bought_again() {
    // The worker dies after the answer and before the report, and after the report and before the database knows.
    for fault in [Fault::Stall as fn(Gate) -> Fault, Fault::StallAnswer] {
        let world = World::start().await;
        world.model.always(Reply::json(&answer()));
        let gate = Gate::new();
        world.objects.fault(Operation::Put, "report.json", fault(gate.clone()));
        let env = short_leases(env(&world));
        let mut first = worker(&env).await;
        let id = world.enqueue(TRANSCRIPT).await;
        gate.reached().await;
        journaled(&world, id, 1).await;
        die(&mut first).await;
        gate.release();

        let _second = worker(&env).await;
        let file = world.wait_for_status(id, "succeeded").await;
        assert!(file.storage_key_report.is_some_and(|key| key.contains("-2/report.json")), "the second claim's report");
        assert_eq!(world.model.calls(), 1);
        let outcomes: Vec<_> = world.attempts(id).await.into_iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, ["lost", "succeeded"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_of_a_job_that_ends_later_are_all_in_its_raw_output() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let failing = Fault::Status { status: 500, code: "InternalError" };
    world.objects.fault_always(Operation::Put, "report.json", failing);
    let _worker = worker(&with(env(&world), &[("JOB_BACKOFF_MS", "1"), ("S3_OPERATION_TIMEOUT_MS", "2000")])).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("s3_write_failed"));
    let raw = crate::fixtures::object(&world, &file.storage_key_raw_llm_output.expect("the raw output")).await;
    assert!(raw["answers"][0]["answer"]["text"].as_str().is_some_and(|text| text.contains("Ana and Ben")));
    assert_eq!(world.model.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_asks_something_else_than_before_is_nondeterministic() {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    // To the guest's own eyes nothing changed; to its questions, the document did.
    let env = short_leases(env_with_guests(&world, &[hostile::asks_with_the_document()]));
    let gate = Gate::new();
    world.objects.fault(Operation::Put, "report.json", Fault::Stall(gate.clone()));
    let mut first = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    journaled(&world, id, 1).await;
    die(&mut first).await;
    gate.release();
    let original = world.file(id).await.storage_key_original;
    world.objects.put(&original, "Another document.").await;

    let _second = worker(&env).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("guest_nondeterministic"));
    assert!(file.storage_key_raw_llm_output.is_some(), "the paid answer is kept");
    assert_eq!(world.model.calls(), 1);
}

/// Returns a job whose worker died after its answer was journaled, and whose answer is another one in the bucket now.
async fn with_a_changed_answer() -> (World, Env, Uuid) {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let env: Env = short_leases(env(&world));
    let gate = Gate::new();
    world.objects.fault(Operation::Put, "report.json", Fault::Stall(gate.clone()));
    let mut first = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    journaled(&world, id, 1).await;
    die(&mut first).await;
    gate.release();
    let key = world.objects.list("").into_iter().find(|key| key.contains("/answers/")).expect("a journaled answer");
    world.objects.put(&key, r#"{"text":"{}","model":"m","finish_reason":"stop"}"#).await;
    (world, env, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_readable_answer_says_that_it_kept_none() {
    let (world, env, id) = with_a_changed_answer().await;
    let second = worker(&with(env, &[("JOB_BACKOFF_MS", "1,1,1")])).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("journal_unreadable"));
    assert_eq!(file.storage_key_raw_llm_output, None);
    second.wait_for_line("raw_output_write_failed").await;
    assert_eq!(world.model.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_bytes_changed_in_the_bucket_is_not_used() {
    let (world, env, id) = with_a_changed_answer().await;
    let _second = worker(&env).await;
    let job = world.wait_for_job(id, |job| job.last_error_code.as_deref() == Some("journal_unreadable")).await;
    assert_eq!(job.status, "queued");
    assert_eq!(world.model.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_question_is_asked_before_the_answers_under_it_are_in_the_journal() {
    let world = World::start().await;
    let calls = std::sync::atomic::AtomicUsize::new(0);
    // Every answer is another one, and the second question quotes the first answer.
    world
        .model
        .respond(move |_| Reply::answer(format!("answer {}", calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst))));
    let refused = Fault::Status { status: 403, code: "AccessDenied" };
    world.objects.fault(Operation::Put, "/0-1.json", refused);
    let env = with(env_with_guests(&world, &[hostile::asks_with_the_answer()]), &[("JOB_HOLD_MS", "1")]);
    let _worker = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;

    world.wait_for_status(id, "succeeded").await;
    let asked: Vec<_> = world.model.requests().iter().map(|call| call.text().contains("answer 1")).collect();
    assert_eq!(asked, [false, false, true], "the first question twice, the second once, on the answer that was kept");
}

/// Waits until the journal has `count` answers for the file's job.
async fn journaled(world: &World, file: Uuid, count: i64) {
    let sql = "SELECT count(*) FROM job_answers a JOIN processing_jobs j ON j.id = a.job_id WHERE j.file_id = $1";
    world
        .wait_until("the journal's row", async || {
            let rows: i64 = sqlx::query_scalar(sql).bind(file).fetch_one(world.database.pool()).await.expect("a count");
            rows == count
        })
        .await;
}
