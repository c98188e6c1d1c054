//! The main job.

use assay_tests::{Reply, World};

use crate::fixtures::{TRANSCRIPT, VERSION, answer, env, object, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_becomes_a_report_and_file_and_job_succeed() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()).usage(321, 45));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let file = world.wait_for_status(id, "succeeded").await;
    assert_eq!(file.prompt_version.as_deref(), Some(VERSION));
    assert_eq!(file.schema_version.as_deref(), Some("report.v1"));
    assert_eq!((file.error_code, file.storage_key_raw_llm_output), (None, None));
    assert!(file.processed_at.is_some());

    let report = object(&world, &file.storage_key_report.expect("a report")).await;
    assert_eq!(report["next_steps"][0]["owner"], "Ben");
    assert!(report["next_steps"][0].get("due_date").is_none(), "nulls of the strict schema are stripped");

    let job = world.job(id).await;
    assert_eq!((job.status.as_str(), job.attempts, job.lock_ttl_seconds), ("succeeded", 1, 300));
    assert_eq!((job.locked_by, job.locked_at), (None, None));
    assert_eq!(job.guest_digest, file.guest_digest);

    let calls = world.model.requests();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].text().contains("We ship on Friday."), "the guest's prompt carries the transcript");
    let attempts = world.attempts(id).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].outcome.as_str(), attempts[0].tokens_in, attempts[0].tokens_out), ("succeeded", 321, 45));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_the_prompt_version_that_it_names() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let _worker = worker(&with(world.env(), &[("REPORT_PROMPT_VERSION", "meeting-v2")])).await;
    let id = world.upload("txt", TRANSCRIPT).await;
    world.enqueue_file(id, Some(VERSION)).await;
    assert_eq!(world.wait_for_status(id, "succeeded").await.prompt_version.as_deref(), Some(VERSION));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_enqueued_again_gets_a_new_life_and_a_new_answer() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let first = world.wait_for_status(id, "succeeded").await;
    world.enqueue_file(id, None).await;
    let second = world
        .wait_for_file(id, |file| file.status == "succeeded" && file.storage_key_report != first.storage_key_report)
        .await;
    assert_eq!(second.processing_attempts, 1);
    let job = world.job(id).await;
    assert_eq!((job.life, job.lease_token, job.attempts), (2, 2, 1));
    assert_eq!(world.model.calls(), 2, "a new life has a fresh journal");
}
