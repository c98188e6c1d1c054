//! A database that fails after the report was written.

use assay_tests::{Fault, Operation, Proxy, Reply, World};

use crate::fixtures::{TRANSCRIPT, answer, env, object, with, worker};

/// The database refuses every success.
async fn refuse_successes(world: &World) {
    let trigger = "
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON files FOR EACH ROW WHEN (NEW.status = 'succeeded') EXECUTE FUNCTION refuse();";
    sqlx::raw_sql(trigger).execute(world.database.pool()).await.expect("a trigger");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_failure_after_the_report_write_deletes_the_report() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    refuse_successes(&world).await;
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let job = world.wait_for_job(id, |job| job.last_error_code.is_some()).await;
    assert_eq!(job.last_error_code.as_deref(), Some("db_update_failed"));
    assert_eq!(job.status, "queued");
    assert_eq!(world.file(id).await.storage_key_report, None);
    let gone = async || world.objects.list("").iter().all(|key| !key.ends_with("report.json"));
    world.wait_until("the deletion of the report", gone).await;
    assert_eq!(world.objects.count(Operation::Put, "report.json"), 1, "it was written");

    // What was paid for is still there: the next attempt buys nothing.
    sqlx::raw_sql("DROP TRIGGER refuse ON files").execute(world.database.pool()).await.expect("no trigger");
    world.make_due(id).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.model.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_report_object_is_reported_when_the_delete_fails_too() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    refuse_successes(&world).await;
    world.objects.fault_always(Operation::Delete, "report.json", Fault::Status { status: 403, code: "AccessDenied" });
    let worker = worker(&with(env(&world), &[("LOG_FORMAT", "json")])).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let line = worker.wait_for_line("orphan_report_object").await;
    let event: serde_json::Value = serde_json::from_str(&line).expect("a structured event");
    assert_eq!(event["event"], "orphan_report_object");
    assert_eq!(event["file.id"], id.to_string());
    let key = event["object.key"].as_str().expect("the key");
    assert!(world.objects.get(key).await.is_some(), "{key} is the orphan");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_commit_is_resolved_by_reading_back() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let proxy = Proxy::before(world.database.url()).await;
    // The statement that settles commits by itself: holding it is holding the COMMIT.
    let hold = proxy.hold_statement("then f.storage_key_raw_llm_output else");
    let _worker = worker(&with(env(&world), &[("DATABASE_URL", &proxy.url_of(world.database.url()))])).await;
    let id = world.enqueue(TRANSCRIPT).await;

    hold.reached().await;
    hold.cut_client().await;
    hold.forward().await;
    settled_once(&world, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_comes_after_the_reading_back_changes_nothing() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let proxy = Proxy::before(world.database.url()).await;
    let hold = proxy.hold_statement("then f.storage_key_raw_llm_output else");
    let _worker = worker(&with(env(&world), &[("DATABASE_URL", &proxy.url_of(world.database.url()))])).await;
    let id = world.enqueue(TRANSCRIPT).await;

    hold.reached().await;
    hold.cut_client().await;
    world.wait_for_status(id, "succeeded").await;
    hold.forward().await;
    settled_once(&world, id).await;
}

/// One finalization, and the report that the row points at is there.
async fn settled_once(world: &World, id: uuid::Uuid) {
    let file = world.wait_for_status(id, "succeeded").await;
    object(world, &file.storage_key_report.expect("a report")).await;
    assert_eq!(world.objects.count(Operation::Delete, "report.json"), 0, "nothing was deleted");
    let attempts = world.attempts(id).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].outcome, "succeeded");
    assert_eq!(world.model.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_is_refused_at_the_last_attempt_leaves_its_answers() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()).usage(7, 5));
    refuse_successes(&world).await;
    let id = world.upload("txt", TRANSCRIPT).await;
    world.enqueue_file(id, None).await;
    sqlx::query("UPDATE processing_jobs SET max_attempts = 1").execute(world.database.pool()).await.expect("a job");
    let _worker = worker(&env(&world)).await;

    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("db_update_failed"));
    let raw = object(&world, &file.storage_key_raw_llm_output.expect("the raw output")).await;
    assert!(raw["answers"][0]["answer"]["text"].as_str().is_some_and(|text| text.contains("Ana and Ben")));
    let attempt = &world.attempts(id).await[0];
    assert_eq!((attempt.tokens_in, attempt.tokens_out), (7, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_report_write_is_deleted_before_the_retry() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    // The store takes the report, and the connection breaks instead of an answer: every try of the first attempt.
    world.objects.fault_times(3, Operation::Put, "-1/report.json", Fault::ResetAfter);
    let env = with(env(&world), &[("JOB_BACKOFF_MS", "1"), ("S3_OPERATION_TIMEOUT_MS", "10000")]);
    let _worker = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let file = world.wait_for_status(id, "succeeded").await;
    let gone = async || world.objects.list("").iter().filter(|key| key.ends_with("report.json")).count() == 1;
    world.wait_until("the deletion of the first report", gone).await;
    assert!(file.storage_key_report.is_some_and(|key| key.contains("-2/report.json")));
}
