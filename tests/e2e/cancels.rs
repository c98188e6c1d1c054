//! Cancelling: a job ends in every state, and no request is lost.

use assay_runtime::testing::hostile;
use assay_tests::{AssayProcess, Fault, Gate, Operation, Reply, Signal, World};
use serde_json::Value;
use uuid::Uuid;

use crate::fixtures::{
    Env, TRANSCRIPT, answer, die, env, env_with_guests, object, outcomes, short_leases, with, worker,
};

/// Runs `assay jobs cancel …` and returns its exit code and what it wrote to standard output and standard error.
async fn cancel(env: &Env, ids: &[Uuid]) -> (Option<i32>, String, String) {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let arguments: Vec<&str> = ["jobs", "cancel"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let mut process = AssayProcess::spawn(&arguments, env);
    let code = process.wait().await.code();
    (code, process.stdout().join("\n"), process.stderr().join("\n"))
}

/// Asks for the end of a file's job, without a notification, as if it was lost.
async fn request_unheard(world: &World, file: Uuid) {
    let sql = "UPDATE processing_jobs SET cancel_requested_at = now() WHERE file_id = $1";
    sqlx::query(sql).bind(file).execute(world.database.pool()).await.expect("a request");
}

/// File, job and the last attempt agree that it was cancelled.
async fn is_cancelled(world: &World, file: Uuid) {
    let row = world.wait_for_status(file, "failed").await;
    assert_eq!(row.error_code.as_deref(), Some("cancelled"));
    let job = world.job(file).await;
    assert_eq!((job.status.as_str(), job.last_error_code.as_deref()), ("failed", Some("cancelled")));
    assert_eq!((job.locked_by, job.heartbeat_at), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_the_model_is_ended_at_once_by_its_worker() {
    let world = World::start().await;
    let never = Gate::new();
    world.model.push(Reply::json(&answer()).held(&never));
    world.model.always(Reply::json(&answer()));
    // Beats so rare that only the notification can bring one about within the deadline of a test.
    let rare = [("WORKER_CONCURRENCY", "1"), ("WORKER_LEASE_MS", "900000"), ("WORKER_BEAT_MS", "300000")];
    let env = with(env(&world), &rare);
    let worker = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    never.reached().await;
    let (code, printed, _) = cancel(&env, &[id]).await;
    assert_eq!((code, printed), (Some(0), format!("{id}  runs; its worker ends it with its next beat")));
    is_cancelled(&world, id).await;
    // The call has ended with it: the connection to the model is closed.
    never.left().await;
    let attempts = world.attempts(id).await;
    let (outcome, step) = (attempts[0].outcome.as_str(), attempts[0].step.as_deref());
    assert_eq!((attempts.len(), outcome, step), (1, "failed", Some("cancel")));
    // Its slot is free, although the model has not answered.
    let next = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(next, "succeeded").await;
    assert_eq!(world.file(id).await.storage_key_raw_llm_output, None, "no answer was received");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_heard_of_is_brought_back_by_the_next_beat() {
    let world = World::start().await;
    let never = Gate::new();
    world.model.push(Reply::json(&answer()).held(&never));
    let _worker = worker(&short_leases(env(&world))).await;
    let id = world.enqueue(TRANSCRIPT).await;
    never.reached().await;
    request_unheard(&world, id).await;
    is_cancelled(&world, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_cancelled_job_has_received_are_kept() {
    let world = World::start().await;
    let stalled = Gate::new();
    world.model.push(Reply::json(&answer()));
    world.objects.fault_always(Operation::Put, "report.json", Fault::Stall(stalled.clone()));
    let env = env(&world);
    let _worker = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    stalled.reached().await;
    assert_eq!(cancel(&env, &[world.job(id).await.id]).await.0, Some(0), "a job's own id names it too");
    is_cancelled(&world, id).await;
    let key = world.file(id).await.storage_key_raw_llm_output.expect("the raw output");
    let raw = object(&world, &key).await;
    assert_eq!(raw["code"], "cancelled");
    assert_eq!(raw["answers"].as_array().map(Vec::len), Some(1), "{raw}");
    assert_eq!(world.file(id).await.storage_key_report, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_in_the_queue_ends_at_once_without_any_worker() {
    let world = World::start().await;
    let env = env(&world);
    let (id, other) = (world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await);
    let (code, printed, _) = cancel(&env, &[id]).await;
    assert_eq!((code, printed), (Some(0), format!("{id}  cancelled")));
    is_cancelled(&world, id).await;
    assert_eq!(world.file(other).await.status, "queued");

    let unknown = Uuid::new_v4();
    let (code, printed, errors) = cancel(&env, &[id, other, unknown]).await;
    assert_eq!((code, printed), (Some(1), format!("{other}  cancelled")));
    assert!(errors.contains(&format!("error: {id}: it has ended already")), "{errors}");
    assert!(errors.contains(&format!("error: {unknown}: there is no such job")), "{errors}");
    let mut process = AssayProcess::spawn(&["jobs", "cancel", "--json", &id.to_string()], &env);
    assert_eq!(process.wait().await.code(), Some(1));
    let printed: Value = serde_json::from_str(&process.stdout().join("\n")).expect("JSON");
    assert_eq!((&printed[0]["result"], &printed[0]["file_id"]), (&"too_late".into(), &id.to_string().into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_dies_before_it_has_ended_it_is_ended_by_the_reaper() {
    let world = World::start().await;
    let never = Gate::new();
    world.model.push(Reply::json(&answer()).held(&never));
    let env = short_leases(env(&world));
    let mut first = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    never.reached().await;
    first.signal(Signal::STOP);
    assert_eq!(cancel(&env, &[id]).await.0, Some(0));
    die(&mut first).await;
    let second = worker(&env).await;
    second.wait_for_line("ended a job that was to be cancelled").await;
    is_cancelled(&world, id).await;
    assert_eq!(outcomes(&world, id).await, [(1, "lost".to_owned())]);
    assert_eq!(world.attempts(id).await[0].code.as_deref(), Some("worker_lost"), "what became of the attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_to_wait_for_another_attempt_ends_instead() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.push(Reply::status(500, "{}").held(&gate));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    request_unheard(&world, id).await;
    gate.release();
    is_cancelled(&world, id).await;
    assert_eq!(outcomes(&world, id).await, [(1, "failed".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_worker_ends_cancelled_jobs_and_gives_none_back() {
    let world = World::start().await;
    let never = Gate::new();
    world.model.push(Reply::json(&answer()).held(&never));
    let mut worker = worker(&with(env(&world), &[("STOP_GRACE_MS", "100")])).await;
    let id = world.enqueue(TRANSCRIPT).await;
    never.reached().await;
    request_unheard(&world, id).await;
    worker.signal(Signal::TERM);
    assert!(worker.wait().await.success());
    is_cancelled(&world, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_put_back_with_a_request_to_cancel_ends_unclaimed() {
    let world = World::start().await;
    let id = world.enqueue(TRANSCRIPT).await;
    request_unheard(&world, id).await;
    let worker = worker(&with(env(&world), &[("REAPER_EVERY_MS", "200")])).await;
    worker.wait_for_line("ended a job that was to be cancelled").await;
    is_cancelled(&world, id).await;
    assert_eq!(world.job(id).await.lease_token, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_for_the_life_that_it_met() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let env = env(&world);
    let id = world.enqueue(TRANSCRIPT).await;
    cancel(&env, &[id]).await;
    is_cancelled(&world, id).await;
    world.enqueue_file(id, None).await;
    let _worker = worker(&env).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.job(id).await.life, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_round_in_which_a_job_is_cancelled_are_kept() {
    let world = World::start().await;
    let never = Gate::new();
    world.model.push(Reply::answer("the first"));
    world.model.always(Reply::answer("never seen").held(&never));
    let env = env_with_guests(&world, &[hostile::asks_many(2)]);
    let _worker = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    never.reached().await;
    world
        .wait_until("the first answer in the journal", async || {
            let kept: i64 = sqlx::query_scalar("select count(*) from job_answers")
                .fetch_one(world.database.pool())
                .await
                .expect("a count");
            kept == 1
        })
        .await;
    assert_eq!(cancel(&env, &[id]).await.0, Some(0));
    is_cancelled(&world, id).await;
    let raw = object(&world, &world.file(id).await.storage_key_raw_llm_output.expect("the raw output")).await;
    assert_eq!(raw["answers"].as_array().map(Vec::len), Some(1), "{raw}");
    assert_eq!(raw["answers"][0]["answer"]["text"], "the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_during_a_claim_or_its_end_sees_the_job_afterwards() {
    let world = World::start().await;
    let claimed = "update processing_jobs set status = 'processing', attempts = 1, lease_token = 1, locked_by = 'w',
                          locked_at = now(), heartbeat_at = now() where file_id = $1";
    let requeued =
        "update processing_jobs set status = 'queued', locked_by = null, locked_at = null, heartbeat_at = null
                     where file_id = $1";
    let shown = "update files set status = (select status from processing_jobs where file_id = $1) where id = $1";
    for (before, meanwhile, printed, ends) in [
        (None, claimed, "runs; its worker ends it with its next beat", "processing"),
        (Some(claimed), requeued, "cancelled", "failed"),
    ] {
        let id = world.enqueue(TRANSCRIPT).await;
        for sql in before.into_iter().chain([shown]) {
            sqlx::query(sql).bind(id).execute(world.database.pool()).await.expect("a change");
        }
        let mut other = world.database.pool().begin().await.expect("a transaction");
        for sql in [meanwhile, shown] {
            sqlx::query(sql).bind(id).execute(&mut *other).await.expect("a change");
        }
        let (env, ids) = (env(&world), [id]);
        let request = cancel(&env, &ids);
        let commit = async {
            world
                .wait_until("the request waits for the row", async || {
                    let waiting: i64 = sqlx::query_scalar(
                        "select count(*) from pg_stat_activity
                          where datname = current_database() and wait_event_type = 'Lock'",
                    )
                    .fetch_one(world.database.pool())
                    .await
                    .expect("a count");
                    waiting == 1
                })
                .await;
            other.commit().await.expect("the end of the transaction");
        };
        let ((_, line, error), ()) = tokio::join!(request, commit);
        assert!(line.contains(printed), "{line}{error}");
        let (job, file) = (world.job(id).await, world.file(id).await);
        assert_eq!((job.status.as_str(), file.status.as_str()), (ends, ends));
        let asked: bool =
            sqlx::query_scalar("select cancel_requested_at is not null from processing_jobs where file_id = $1")
                .bind(id)
                .fetch_one(world.database.pool())
                .await
                .expect("a look");
        assert!(asked, "the row says so");
    }
}
