//! A worker that cannot renew its leases takes no jobs.

use assay_tests::{Proxy, Reply, World};

use crate::fixtures::{TRANSCRIPT, answer, env, short_leases, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_renew_leases_claims_nothing() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let proxy = Proxy::before(world.database.url()).await;
    let env = with(short_leases(env(&world)), &[("DATABASE_URL", &proxy.url_of(world.database.url()))]);
    let worker = worker(&env).await;
    // The worker's pool is connected, and stays so.
    let first = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(first, "succeeded").await;

    proxy.refuse();
    // In this database alone: other tests have workers in the same cluster.
    let end_heartbeat = "
        SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
         WHERE datname = current_database() AND query ILIKE '%into workers%' AND pid <> pg_backend_pid()";
    let ended = async || sqlx::query_scalar(end_heartbeat).fetch_one(world.database.pool()).await.expect("an answer");
    world.wait_until("the end of the heartbeat's connection", ended).await;
    worker.wait_for_line("claiming no jobs").await;
    let second = world.enqueue(TRANSCRIPT).await;
    // Beats are tried as often as the queue is looked at, so after a few of them it had its chances.
    let failed_beats = || worker.stderr().iter().filter(|line| line.contains("heartbeat failed")).count();
    let before = failed_beats();
    world.wait_until("a few beats that fail", async || failed_beats() >= before + 4).await;
    assert_eq!(world.job(second).await.lease_token, 0, "it was not claimed");

    proxy.forward();
    worker.wait_for_line("leases are renewed again").await;
    world.wait_for_status(second, "succeeded").await;
    assert_eq!(world.attempts(second).await.len(), 1);
}
