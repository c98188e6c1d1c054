//! Claims: one at a time, taken back from the dead, never written by the stale.

use std::time::Duration;

use assay_tests::{Fault, Gate, JobRow, Operation, Proxy, Reply, Signal, World};

use crate::fixtures::{Env, TRANSCRIPT, answer, env, outcomes, short_leases, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_run_one_job_at_the_same_time() {
    const JOBS: usize = 40;
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let env = env(&world);
    let (_one, _two) = tokio::join!(worker(&env), worker(&env));
    let mut files = Vec::new();
    for _ in 0..JOBS {
        files.push(world.upload("txt", TRANSCRIPT).await);
    }
    // All at once, so that both workers reach for the same rows.
    sqlx::query("SELECT assay_enqueue(id) FROM files").execute(world.database.pool()).await.expect("jobs");
    let mut workers = std::collections::BTreeSet::new();
    for id in files {
        world.wait_for_status(id, "succeeded").await;
        let attempts = world.attempts(id).await;
        assert_eq!(attempts.len(), 1, "claimed once");
        workers.insert(attempts[0].worker.clone());
    }
    assert_eq!(world.model.calls(), JOBS);
    assert_eq!(workers.len(), 2, "both worked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_longer_than_its_lease_is_renewed_and_stays_with_its_worker() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let env = short_leases(env(&world));
    let (_one, _two) = tokio::join!(worker(&env), worker(&env));
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    let beaten = |job: &JobRow| job.heartbeat_at.zip(job.locked_at).map(|(beat, claimed)| beat - claimed);
    let two_leases = Duration::from_secs(4);
    world.wait_for_job(id, |job| job.lease_token > 1 || beaten(job).is_some_and(|beaten| beaten > two_leases)).await;
    gate.release();
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.job(id).await.lease_token, 1, "no other worker has claimed it");
    assert_eq!(world.model.calls(), 1);
}

/// Returns a worker with one slot behind the proxy. The slot is taken by the job that the test is about, so the worker cannot
/// claim that job again itself.
fn behind(proxy: &Proxy, world: &World) -> Env {
    let url = proxy.url_of(world.database.url());
    let patient = [("DATABASE_URL", url.as_str()), ("DATABASE_TIMEOUT_MS", "60000"), ("WORKER_CONCURRENCY", "1")];
    with(short_leases(env(world)), &patient)
}

/// The job is held by the second claim, and nothing but that has happened to it.
async fn held_by_the_second_claim(world: &World, id: uuid::Uuid, holder: &str) {
    let job = world.job(id).await;
    assert_eq!((job.status.as_str(), job.lease_token, job.locked_by.as_deref()), ("processing", 2, Some(holder)));
    let file = world.file(id).await;
    assert_eq!((file.status.as_str(), file.storage_key_report), ("processing", None));
    assert_eq!(outcomes(world, id).await, [(1, "lost".to_owned())]);
}

/// The job ended once, under the second claim.
async fn finished_by_the_second_claim(world: &World, id: uuid::Uuid, received: &[i64]) {
    let file = world.wait_for_status(id, "succeeded").await;
    assert!(file.storage_key_report.is_some_and(|key| key.contains("-2/report.json")));
    assert_eq!(outcomes(world, id).await, [(1, "lost".to_owned()), (2, "succeeded".to_owned())]);
    assert_eq!(journal(world).await, received, "the tokens under which answers were received");
}

/// Returns the tokens under which answers were received.
async fn journal(world: &World) -> Vec<i64> {
    let sql = "SELECT lease_token FROM job_answers ORDER BY ordinal";
    sqlx::query_scalar(sql).fetch_all(world.database.pool()).await.expect("the journal")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_worker_cannot_finalize_after_its_job_was_claimed_again() {
    let world = World::start().await;
    let fresh = Gate::new();
    world.model.always(Reply::json(&answer()));
    world.objects.fault(Operation::Put, "-2/report.json", Fault::Stall(fresh.clone()));
    let proxy = Proxy::before(world.database.url()).await;
    let settling = proxy.hold_statement("then f.storage_key_raw_llm_output else");
    let stalled = worker(&behind(&proxy, &world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    settling.reached().await;

    let _second = worker(&short_leases(env(&world))).await;
    fresh.reached().await;
    let holder = world.job(id).await.locked_by.expect("the job is held");
    settling.forward().await;
    held_by_the_second_claim(&world, id, &holder).await;
    stalled.wait_for_line("the job was not settled: its claim is lost").await;

    fresh.release();
    finished_by_the_second_claim(&world, id, &[1]).await;
    assert_eq!(world.model.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_worker_cannot_journal_an_answer_after_its_job_was_claimed_again() {
    let world = World::start().await;
    let fresh = Gate::new();
    world.model.push(Reply::json(&answer()));
    world.model.push(Reply::json(&answer()).held(&fresh));
    let proxy = Proxy::before(world.database.url()).await;
    let recording = proxy.hold_statement("insert into job_answers");
    let stalled = worker(&behind(&proxy, &world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    recording.reached().await;
    // Its heart stops, or it would keep the claim; the statement is on its way already.
    stalled.signal(Signal::STOP);

    let _second = worker(&short_leases(env(&world))).await;
    fresh.reached().await;
    let holder = world.job(id).await.locked_by.expect("the job is held");
    recording.forward().await;
    assert_eq!(journal(&world).await, [0; 0], "the stale insert has touched nothing");
    held_by_the_second_claim(&world, id, &holder).await;
    stalled.signal(Signal::CONT);
    stalled.wait_for_line("job dropped: its claim is lost").await;
    held_by_the_second_claim(&world, id, &holder).await;

    fresh.release();
    finished_by_the_second_claim(&world, id, &[2]).await;
    assert_eq!(world.model.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_up_after_its_lease_drops_its_job() {
    let world = World::start().await;
    let (stale, fresh) = (Gate::new(), Gate::new());
    world.model.push(Reply::json(&answer()).held(&stale));
    world.model.push(Reply::json(&answer()).held(&fresh));
    let env = short_leases(env(&world));
    let stalled = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    stale.reached().await;
    stalled.signal(Signal::STOP);

    let _second = worker(&env).await;
    fresh.reached().await;
    let holder = world.job(id).await.locked_by.expect("the job is held");
    stale.release();
    stalled.signal(Signal::CONT);
    stalled.wait_for_line("job dropped: its claim is lost").await;
    held_by_the_second_claim(&world, id, &holder).await;

    fresh.release();
    finished_by_the_second_claim(&world, id, &[2]).await;
    assert_eq!(world.model.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_job_runs_again() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.push(Reply::json(&answer()).held(&gate));
    world.model.always(Reply::json(&answer()));
    let env = short_leases(env(&world));
    let mut first = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    first.signal(Signal::KILL);
    first.wait().await;

    let second = worker(&env).await;
    second.wait_for_line("took back the job of a dead worker").await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.job(id).await.attempts, 2, "a rescue has used its attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_worker_ends_failed() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let env = short_leases(env(&world));
    let id = world.upload("txt", TRANSCRIPT).await;
    world.enqueue_file(id, None).await;
    sqlx::query("UPDATE processing_jobs SET max_attempts = 2").execute(world.database.pool()).await.expect("a job");
    for calls in 1..=2 {
        let mut victim = worker(&env).await;
        world.model.wait_for_calls(calls).await;
        victim.signal(Signal::KILL);
        victim.wait().await;
    }
    let _survivor = worker(&env).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("worker_lost"));
    assert_eq!(world.job(id).await.status, "failed");
    assert_eq!(world.model.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_database_drops_claims_before_leases_end() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let proxy = Proxy::before(world.database.url()).await;
    let url = proxy.url_of(world.database.url());
    let env = with(short_leases(env(&world)), &[("DATABASE_URL", &url), ("DATABASE_TIMEOUT_MS", "3000")]);
    let mut cut_off = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    proxy.black_hole();
    cut_off.wait_for_line("leases may have run out").await;
    let job = world.job(id).await;
    assert_eq!((job.status.as_str(), job.lease_token), ("processing", 1), "it was not taken back yet");

    // Connections that hang do not keep it from stopping, nor from working once the network is back.
    proxy.cut_all();
    proxy.forward();
    gate.release();
    world.wait_for_status(id, "succeeded").await;
    proxy.black_hole();
    cut_off.signal(Signal::TERM);
    assert!(cut_off.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_version_that_no_worker_knows_fails_after_the_patience() {
    let world = World::start().await;
    let _worker = worker(&with(short_leases(env(&world)), &[("VERSION_PATIENCE_MS", "1500")])).await;
    let id = world.upload("txt", TRANSCRIPT).await;
    world.enqueue_file(id, Some("meeting-v99")).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("version_not_available"));
}
