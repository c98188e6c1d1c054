//! Whose fault a failure is: a document on which a dependency fails keeps no other waiting, and an outage fails no file.

use assay_tests::{Fault, Operation, Reply, World};
use uuid::Uuid;

use crate::fixtures::{TRANSCRIPT, answer, env, outcomes, with, worker};

/// Waits so short that a job spends its attempts and holds within a test.
const QUICK: [(&str, &str); 4] =
    [("JOB_BACKOFF_MS", "1"), ("JOB_HOLD_MS", "20"), ("BREAKER_PROBE_MS", "100"), ("WORKER_CONCURRENCY", "4")];

/// Makes the model answer a document that has the word with `odd`, and every other question well.
fn odd_for(world: &World, word: &'static str, odd: impl Fn() -> Reply + Send + Sync + 'static) {
    world.model.respond(move |call| if call.body.to_string().contains(word) { odd() } else { Reply::json(&answer()) });
}

async fn bad(world: &World) -> Uuid {
    world.enqueue("Ana: We talk about the ODDWORD and meet on Friday.").await
}

async fn code(world: &World, file: Uuid) -> String {
    world.wait_for_status(file, "failed").await.error_code.expect("a code")
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_on_which_the_model_fails_keep_no_other_waiting() {
    let world = World::start().await;
    odd_for(&world, "ODDWORD", || Reply::status(500, "{}"));
    let mut files = Vec::new();
    for _ in 0..25 {
        files.push(bad(&world).await);
    }
    let worker = worker(&with(env(&world), &QUICK)).await;
    let healthy = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(healthy, "succeeded").await;
    for file in files {
        assert_eq!(code(&world, file).await, "llm_provider_5xx");
        assert_eq!(world.job(file).await.attempts, 4, "its own attempts, and no more");
    }
    assert!(!worker.stderr().iter().any(|line| line.contains("breaker_opened")), "the model is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_odd_answer_of_one_document_opens_nothing() {
    for (status, body) in [(307, "{}"), (403, "{}"), (401, "{}"), (404, "{}"), (402, "{}")] {
        let world = World::start().await;
        odd_for(&world, "ODDWORD", move || Reply::status(status, body));
        let worker = worker(&with(env(&world), &QUICK)).await;
        let odd = bad(&world).await;
        for _ in 0..3 {
            let file = world.enqueue(TRANSCRIPT).await;
            world.wait_for_status(file, "succeeded").await;
            assert_eq!(world.job(file).await.attempts, 1);
        }
        world.wait_for_status(odd, "failed").await;
        let held = outcomes(&world, odd).await.into_iter().filter(|(_, outcome)| outcome == "held").count();
        assert!(held == 0 || held == 3, "{status}: {held} holds");
        assert!(!worker.stderr().iter().any(|line| line.contains("breaker_opened")), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_away_for_longer_than_the_attempts_fails_no_file() {
    for odd in [Reply::status(500, "{}"), Reply::status(429, "{}"), Reply::status(200, "<html>"), Reply::reset()] {
        let world = World::start().await;
        world.model.always(odd);
        let env = with(with(env(&world), &QUICK), &[("JOB_MAX_SNOOZES", "1")]);
        let _worker = worker(&env).await;
        let file = world.enqueue(TRANSCRIPT).await;
        let held = async || outcomes(&world, file).await.iter().any(|(_, outcome)| outcome == "held");
        world.wait_until("a hold", held).await;
        world.model.always(Reply::json(&answer()));
        world.wait_for_status(file, "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_of_one_document_alone_ends_it() {
    let world = World::start().await;
    odd_for(&world, "ODDWORD", || Reply::status(429, "{}"));
    let _worker = worker(&with(with(env(&world), &QUICK), &[("JOB_MAX_SNOOZES", "1")])).await;
    let odd = bad(&world).await;
    assert_eq!(code(&world, odd).await, "llm_rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_for_longer_than_the_attempts_fails_no_file() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    for (fault, reason) in [
        (Fault::slow_down(), "failures"),
        (Fault::Status { status: 403, code: "RequestTimeTooSkewed" }, "clock"),
        (Fault::Status { status: 503, code: "ServiceUnavailable" }, "failures"),
    ] {
        for operation in [Operation::Get, Operation::Put] {
            world.objects.fault_always(operation, "", fault.clone());
        }
        let worker = worker(&with(env(&world), &QUICK)).await;
        let file = world.enqueue(TRANSCRIPT).await;
        assert!(worker.wait_for_line("breaker_opened").await.contains(reason), "{reason}");
        let held = async || outcomes(&world, file).await.iter().any(|(_, outcome)| outcome == "held");
        world.wait_until("a hold", held).await;
        world.objects.clear_faults();
        world.wait_for_status(file, "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_ends_its_own_file() {
    for (fault, expected) in [
        (Fault::slow_down(), "s3_read_failed"),
        (Fault::Status { status: 403, code: "AccessDenied" }, "s3_access_denied"),
    ] {
        let world = World::start().await;
        world.model.always(Reply::json(&answer()));
        let odd = world.upload("txt", TRANSCRIPT).await;
        world.objects.fault_always(Operation::Get, &world.file(odd).await.storage_key_original, fault);
        world.enqueue_file(odd, None).await;
        let worker = worker(&with(env(&world), &QUICK)).await;
        let good = world.enqueue(TRANSCRIPT).await;
        world.wait_for_status(good, "succeeded").await;
        assert_eq!(code(&world, odd).await, expected);
        assert!(!worker.stderr().iter().any(|line| line.contains("breaker_opened")), "{expected}");
    }
}
