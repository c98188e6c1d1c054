//! Claims: one at a time, taken back from the dead, never written by the stale.

use assay_tests::{Gate, Reply, Signal, World};

use crate::fixtures::{TRANSCRIPT, answer, env, short_leases, with, worker};

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
async fn a_stalled_worker_cannot_finalize_after_its_job_was_claimed_again() {
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
    let holder = world.job(id).await;
    assert_eq!((holder.lease_token, holder.status.as_str()), (2, "processing"));
    stale.release();
    stalled.signal(Signal::CONT);
    stalled.wait_for_line("its claim is lost").await;
    let row = world.job(id).await;
    assert_eq!((row.status.as_str(), row.lease_token, row.locked_by), ("processing", 2, holder.locked_by));

    fresh.release();
    let file = world.wait_for_status(id, "succeeded").await;
    assert!(file.storage_key_report.is_some_and(|key| key.contains("-2/report.json")));
    let attempts: Vec<_> =
        world.attempts(id).await.into_iter().map(|attempt| (attempt.lease_token, attempt.outcome)).collect();
    assert_eq!(attempts, [(1, "lost".to_owned()), (2, "succeeded".to_owned())]);
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
async fn a_worker_that_cannot_reach_the_database_gives_its_claims_up_before_their_leases_end() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let proxy = assay_tests::Proxy::before(world.database.url()).await;
    let url = proxy.url_of(world.database.url());
    let env = with(short_leases(env(&world)), &[("DATABASE_URL", &url), ("DATABASE_TIMEOUT_MS", "1000")]);
    let mut cut_off = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    proxy.black_hole();
    cut_off.wait_for_line("leases may have run out").await;
    let job = world.job(id).await;
    assert_eq!((job.status.as_str(), job.lease_token), ("processing", 1), "nobody has taken it back yet");

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
