//! Producers of the other program: a file that has ended stays as it ended, and a new run that is asked for runs.

use assay_tests::{AssayProcess, Gate, Reply, Signal};

use super::{INSERT_JOB, SAY_QUEUED, adopted, claimed, enqueue, execute, old, upload};
use crate::fixtures::{answer, env, short_leases, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_late_status_from_a_producer_changes_no_finished_file() {
    let world = adopted().await;
    let gate = Gate::new();
    let env = short_leases(env(&world));
    let _worker = worker(&env).await;
    // The job first, and the file when all is over.
    let late = upload(&world).await;
    execute(&world, INSERT_JOB, late).await;
    let ended = world.wait_for_status(late, "succeeded").await;
    execute(&world, SAY_QUEUED, late).await;
    let after = world.file(late).await;
    assert_eq!(
        (after.status.as_str(), &after.storage_key_report, after.processed_at),
        ("succeeded", &ended.storage_key_report, ended.processed_at)
    );
    // The same after a failure.
    world.model.push(Reply::answer("no JSON"));
    let failed = upload(&world).await;
    execute(&world, INSERT_JOB, failed).await;
    let ended = world.wait_for_status(failed, "failed").await;
    execute(&world, SAY_QUEUED, failed).await;
    let after = world.file(failed).await;
    assert_eq!((after.status.as_str(), after.error_code), ("failed", ended.error_code));
    // In the middle of the run.
    world.model.push(Reply::json(&answer()).held(&gate));
    let running = upload(&world).await;
    execute(&world, INSERT_JOB, running).await;
    gate.reached().await;
    execute(&world, SAY_QUEUED, running).await;
    gate.release();
    world.wait_for_status(running, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_commits_while_a_job_ends_leaves_the_file_as_it_ended() {
    let world = adopted().await;
    let gate = Gate::new();
    let mut worker = worker(&short_leases(env(&world))).await;
    world.model.push(Reply::json(&answer()).held(&gate));
    let file = upload(&world).await;
    execute(&world, INSERT_JOB, file).await;
    gate.reached().await;
    // The settlement waits for the producer's lock on the file, and comes after it.
    let mut producer = world.database.pool().begin().await.expect("a transaction");
    sqlx::query(SAY_QUEUED).bind(file).execute(&mut *producer).await.expect("an update");
    gate.release();
    world
        .wait_until("the settlement waits", async || {
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database())")
                .fetch_one(world.database.pool())
                .await
                .expect("a look at the locks")
        })
        .await;
    producer.commit().await.expect("a commit");
    world.wait_for_status(file, "succeeded").await;
    worker.signal(Signal::TERM);
    worker.wait().await;
    assert_eq!(
        (world.file(file).await.status.as_str(), world.job(file).await.status.as_str()),
        ("succeeded", "succeeded")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_run_that_the_application_asks_for_is_no_late_producer() {
    let world = adopted().await;
    let _worker = worker(&short_leases(env(&world))).await;
    let file = enqueue(&world).await;
    let first = world.wait_for_status(file, "succeeded").await;
    let renew = "UPDATE processing_jobs SET status = 'queued', attempts = 0, next_run_at = now() WHERE file_id = $1";
    for (life, order) in [(2, [SAY_QUEUED, renew]), (3, [renew, SAY_QUEUED])] {
        let gate = Gate::new();
        world.model.push(Reply::json(&answer()).held(&gate));
        let mut transaction = world.database.pool().begin().await.expect("a transaction");
        for sql in order {
            sqlx::query(sql).bind(file).execute(&mut *transaction).await.expect("an update");
        }
        transaction.commit().await.expect("a commit");
        assert_ne!(world.file(file).await.status, "succeeded");
        // The model is asked again: a new life has no answers of the one before.
        gate.reached().await;
        gate.release();
        let again = world.wait_for_status(file, "succeeded").await;
        assert_ne!(again.storage_key_report, first.storage_key_report);
        assert_eq!(world.job(file).await.life, life);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_cancel_an_earlier_run_ends_no_later_one() {
    let world = adopted().await;
    let file = enqueue(&world).await;
    let mut cancel = AssayProcess::spawn(&["jobs", "cancel", &file.to_string()], &env(&world));
    assert!(cancel.wait().await.success(), "{:?}", cancel.stderr());
    let asked = "UPDATE processing_jobs SET cancel_requested_at = now() WHERE file_id = $1";
    execute(&world, asked, file).await;
    execute(&world, "UPDATE processing_jobs SET status = 'queued', attempts = 0 WHERE file_id = $1", file).await;
    execute(&world, SAY_QUEUED, file).await;
    let _worker = worker(&short_leases(env(&world))).await;
    world.wait_for_status(file, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_put_back_without_an_attempt_left_stops_no_claim() {
    let world = adopted().await;
    let (spent, other) = (enqueue(&world).await, enqueue(&world).await);
    execute(&world, "UPDATE processing_jobs SET attempts = max_attempts WHERE file_id = $1", spent).await;
    let _worker = worker(&short_leases(env(&world))).await;
    for file in [spent, other] {
        world.wait_for_status(file, "succeeded").await;
    }
    let job = world.job(spent).await;
    assert_eq!(job.attempts, job.max_attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_due_at_no_moment_runs_at_once() {
    let world = adopted().await;
    let file = enqueue(&world).await;
    execute(&world, "UPDATE processing_jobs SET next_run_at = '-infinity' WHERE file_id = $1", file).await;
    let _worker = worker(&short_leases(env(&world))).await;
    world.wait_for_status(file, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_between_the_two_ends_of_an_old_worker_leaves_the_file_ended() {
    let world = adopted().await;
    let file = enqueue(&world).await;
    let mut old = old(&world).await;
    let job = claimed(&mut old).await;
    // The file first, the job in a transaction of its own, and the producer in between.
    let ends_file = "UPDATE files SET status = 'succeeded', storage_key_report = 'reports/7.json', processed_at = now() WHERE id = $1";
    execute(&world, ends_file, file).await;
    execute(&world, SAY_QUEUED, file).await;
    let ends_job = "UPDATE processing_jobs SET status = 'succeeded', locked_by = NULL, locked_at = NULL, heartbeat_at = NULL WHERE id = $1";
    execute(&world, ends_job, job.id).await;
    let row = world.file(file).await;
    assert_eq!((row.status.as_str(), row.storage_key_report.as_deref()), ("succeeded", Some("reports/7.json")));
}
