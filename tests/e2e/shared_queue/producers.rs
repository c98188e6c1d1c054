//! Producers of the other program: a file that has ended stays as it ended, and a new run that is asked for runs.

use assay_tests::{Gate, Reply, Signal};

use super::{INSERT_JOB, SAY_QUEUED, adopted, enqueue, execute, upload};
use crate::fixtures::{answer, env, short_leases, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_says_queued_however_late_leaves_a_finished_file_as_it_ended() {
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
    let gate = Gate::new();
    for order in [[SAY_QUEUED, renew], [renew, SAY_QUEUED]] {
        world.model.push(Reply::json(&answer()).held(&gate));
        let mut transaction = world.database.pool().begin().await.expect("a transaction");
        for sql in order {
            sqlx::query(sql).bind(file).execute(&mut *transaction).await.expect("an update");
        }
        transaction.commit().await.expect("a commit");
        assert_ne!(world.file(file).await.status, "succeeded");
        gate.release();
        let again = world.wait_for_status(file, "succeeded").await;
        assert_ne!(again.storage_key_report, first.storage_key_report);
    }
}
