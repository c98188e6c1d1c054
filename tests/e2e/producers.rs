//! The way in: `assay_enqueue` in the caller's transaction, and producers that insert rows themselves.

use assay_tests::{Reply, World};

use crate::fixtures::{TRANSCRIPT, answer, env, worker};

#[tokio::test(flavor = "multi_thread")]
async fn enqueueing_a_file_whose_job_is_live_changes_nothing() {
    let world = World::start().await;
    let id = world.upload("txt", TRANSCRIPT).await;
    let job = world.enqueue_file(id, None).await;
    let before = world.job(id).await;
    assert_eq!(world.enqueue_file(id, Some("meeting-v2")).await, job);
    let after = world.job(id).await;
    assert_eq!((after.prompt_version, after.life, after.next_run_at), (before.prompt_version, 1, before.next_run_at));
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueueing_is_part_of_the_callers_transaction() {
    let world = World::start().await;
    let id = world.upload("txt", TRANSCRIPT).await;
    let mut transaction = world.database.pool().begin().await.expect("a transaction");
    sqlx::query("SELECT assay_enqueue($1)").bind(id).execute(&mut *transaction).await.expect("a job");
    transaction.rollback().await.expect("a rollback");
    assert_eq!(world.file(id).await.status, "uploaded");
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM processing_jobs")
        .fetch_one(world.database.pool())
        .await
        .expect("a count");
    assert_eq!(jobs, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueueing_a_file_that_does_not_exist_is_an_error() {
    let world = World::start().await;
    let result = sqlx::query("SELECT assay_enqueue(gen_random_uuid())").execute(world.database.pool()).await;
    let error = result.expect_err("there is no such file");
    assert!(error.to_string().contains("there is no file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_inserts_the_rows_itself_works_too() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let _worker = worker(&env(&world)).await;
    let id = world.upload("txt", TRANSCRIPT).await;
    sqlx::query("INSERT INTO processing_jobs (file_id) VALUES ($1)")
        .bind(id)
        .execute(world.database.pool())
        .await
        .expect("a job");
    world.wait_for_status(id, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_for_the_future_waits_and_a_greater_priority_goes_first() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let (later, low, high) = (
        world.upload("txt", "Ana: LATER").await,
        world.upload("txt", "Ana: LOW").await,
        world.upload("txt", "Ana: HIGH").await,
    );
    let sql = "SELECT assay_enqueue($1, priority => 9, run_at => now() + interval '1 hour'), assay_enqueue($2, priority => 1), assay_enqueue($3, priority => 5)";
    sqlx::query(sql).bind(later).bind(low).bind(high).execute(world.database.pool()).await.expect("jobs");
    let _worker = worker(&crate::fixtures::with(env(&world), &[("WORKER_CONCURRENCY", "1")])).await;
    world.wait_for_status(low, "succeeded").await;
    world.wait_for_status(high, "succeeded").await;
    let asked: Vec<_> = world.model.requests().iter().map(|call| call.text().contains("HIGH")).collect();
    assert_eq!(asked, [true, false]);
    assert_eq!(world.job(later).await.lease_token, 0);
}
