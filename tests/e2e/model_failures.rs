//! A model that does not answer, or says no.

use assay_tests::{Gate, Reply, World};

use crate::fixtures::{TRANSCRIPT, answer, env, wait_of, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn an_llm_timeout_is_retried_later() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let _worker = worker(&with(env(&world), &[("LLM_TIMEOUT_MS", "300")])).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let job = world.wait_for_job(id, |job| job.last_error_code.is_some()).await;
    assert_eq!(job.last_error_code.as_deref(), Some("llm_timeout"));
    assert_eq!(job.last_error_step.as_deref(), Some("call_model"));
    assert_eq!((job.status.as_str(), job.attempts), ("queued", 1));
    let wait = wait_of(&world, id).await;
    assert!((24.0..=36.0).contains(&wait), "30 s ±20 %, but {wait}");
    let file = world.file(id).await;
    assert_eq!((file.status.as_str(), file.error_code), ("queued", None));
    gate.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limited_call_waits_at_least_retry_after() {
    let world = World::start().await;
    world.model.push(Reply::rate_limited("77"));
    world.model.always(Reply::json(&answer()));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let job = world.wait_for_job(id, |job| job.snoozes == 1).await;
    assert_eq!((job.status.as_str(), job.attempts), ("queued", 0), "the attempt is given back");
    let wait = wait_of(&world, id).await;
    assert!((77.0..=77.0 * 1.2).contains(&wait), "{wait}");
    world.make_due(id).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.job(id).await.attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_key_fails_no_file() {
    let world = World::start().await;
    world.model.always(Reply::error(401, "invalid_request_error", "invalid_api_key"));
    // Both are claimed at once: what comes later waits in the queue while the breaker is open.
    let files = [world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await];
    let worker = worker(&env(&world)).await;
    for id in files {
        let job = world.wait_for_job(id, |job| job.last_error_code.is_some()).await;
        assert_eq!(job.last_error_code.as_deref(), Some("llm_auth_failed"));
        assert_eq!((job.status.as_str(), job.attempts, job.snoozes), ("queued", 0, 0));
        let wait = wait_of(&world, id).await;
        assert!((48.0..=72.0).contains(&wait), "a minute ±20 %, but {wait}");
        assert_eq!(world.file(id).await.status, "queued");
    }
    worker.wait_for_line("the operator has to act").await;
    world.model.always(Reply::json(&answer()));
    for id in files {
        world.make_due(id).await;
        world.wait_for_status(id, "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_quota_is_held_and_no_rate_limit() {
    let world = World::start().await;
    world.model.always(Reply::error(429, "insufficient_quota", "insufficient_quota"));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let job = world.wait_for_job(id, |job| job.last_error_code.is_some()).await;
    assert_eq!(job.last_error_code.as_deref(), Some("llm_quota_exhausted"));
    assert_eq!((job.attempts, job.snoozes), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_attempts_are_spent_fails_with_its_last_code() {
    let world = World::start().await;
    // Of this document alone: while the model fails for all, no attempt is the last one.
    world.model.respond(|call| {
        if call.body.to_string().contains("ODDWORD") { Reply::status(500, "{}") } else { Reply::json(&answer()) }
    });
    let _worker = worker(&with(env(&world), &[("JOB_BACKOFF_MS", "1")])).await;
    let id = world.enqueue("Ana: We talk about the ODDWORD.").await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("llm_provider_5xx"));
    let outcomes: Vec<_> = world.attempts(id).await.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, ["retried", "retried", "retried", "failed"]);
}
