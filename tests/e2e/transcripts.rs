//! Originals: what cannot be read now is read later, what can never work fails at once.

use assay_tests::{Fault, Operation, Reply, World};

use crate::fixtures::{TRANSCRIPT, answer, env, wait_of, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_s3_read_is_retried_with_backoff_and_jitter() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    // The SDK's own tries are over within a few seconds of backoff; the deadline bounds them in any case.
    let env = with(env(&world), &[("S3_OPERATION_TIMEOUT_MS", "4000"), ("WORKER_CONCURRENCY", "8")]);
    let faults = [Fault::ResetBefore, Fault::slow_down(), Fault::CutBody(10)];
    let mut files = Vec::new();
    // One fewer than those that open the breaker of the bucket.
    for fault in faults.iter().chain(&faults[..1]) {
        let id = world.upload("txt", TRANSCRIPT).await;
        world.objects.fault_always(Operation::Get, &format!("{id}/original"), fault.clone());
        world.enqueue_file(id, None).await;
        files.push(id);
    }
    let _worker = worker(&env).await;
    let mut waits = Vec::new();
    for id in &files {
        let job = world.wait_for_job(*id, |job| job.last_error_code.is_some()).await;
        assert_eq!(job.last_error_code.as_deref(), Some("s3_read_failed"));
        assert_eq!((job.status.as_str(), job.attempts), ("queued", 1));
        let wait = wait_of(&world, *id).await;
        assert!((24.0..=36.0).contains(&wait), "30 s ±20 %, but {wait}");
        waits.push(wait);
    }
    assert!(waits.iter().any(|wait| (wait - waits[0]).abs() > 1e-3), "no jitter in {waits:?}");
    assert_eq!(world.model.calls(), 0);

    world.objects.clear_faults();
    for id in files {
        world.make_due(id).await;
        world.wait_for_status(id, "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_transcript_fails_at_once() {
    let world = World::start().await;
    let id = world.row("txt", 10).await;
    world.enqueue_file(id, None).await;
    fails_at_once(&world, id, "transcript_not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_transcript_fails_at_once() {
    let world = World::start().await;
    let id = world.enqueue("\u{feff} \n\t\n").await;
    fails_at_once(&world, id, "transcript_empty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_that_is_not_utf8_fails_at_once() {
    let world = World::start().await;
    let id = world.enqueue(b"Ana: caf\xe9".to_vec()).await;
    let message = fails_at_once(&world, id, "transcript_invalid_encoding").await;
    assert!(message.contains("byte 8"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_over_the_limit_fails_at_once() {
    let world = World::start().await;
    let id = world.enqueue("x".repeat(2000)).await;
    let message = fails_at_once(&world, id, "transcript_too_large").await;
    assert!(message.contains("1000"), "the limit is named: {message}");
}

/// The job ends at its first attempt, without a call of the model.
async fn fails_at_once(world: &World, id: uuid::Uuid, code: &str) -> String {
    let _worker = worker(&with(env(world), &[("TRANSCRIPT_MAX_BYTES", "1000")])).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some(code));
    let job = world.job(id).await;
    assert_eq!((job.status.as_str(), job.attempts), ("failed", 1));
    assert_eq!(world.model.calls(), 0);
    assert_eq!(file.storage_key_raw_llm_output, None, "nothing was received");
    file.error_message.expect("a message")
}
