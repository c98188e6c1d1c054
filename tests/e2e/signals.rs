//! Stopping in two stages.

use assay_tests::{Gate, Reply, Signal, World};

use crate::fixtures::{answer, env, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_drains_the_worker_and_gives_attempts_back() {
    let world = World::start().await;
    let (soon, never) = (Gate::new(), Gate::new());
    let gates = (soon.clone(), never.clone());
    world.model.respond(move |call| {
        let gate = if call.text().contains("SOON") { &gates.0 } else { &gates.1 };
        Reply::json(&answer()).held(gate)
    });
    let mut worker = worker(&with(env(&world), &[("STOP_GRACE_MS", "3000"), ("WORKER_CONCURRENCY", "2")])).await;
    let finishes = world.enqueue("Ana: SOON.").await;
    let given_back = world.enqueue("Ben: NEVER.").await;
    soon.reached().await;
    never.reached().await;

    worker.signal(Signal::TERM);
    worker.wait_for_line("draining").await;
    let late = world.enqueue("Cem: SOON, too.").await;
    soon.release();
    world.wait_for_status(finishes, "succeeded").await;
    let status = worker.wait().await;
    assert!(status.success(), "{status}");

    let job = world.job(given_back).await;
    assert_eq!((job.status.as_str(), job.attempts, job.locked_by), ("queued", 0, None));
    assert!(job.seconds_until_next_run <= 0.0, "it can run elsewhere at once");
    assert_eq!(world.file(given_back).await.status, "queued");
    assert_eq!(world.attempts(given_back).await[0].outcome, "released");
    assert_eq!(world.job(late).await.lease_token, 0, "nothing is claimed while draining");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_gives_jobs_back_at_once() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let mut worker = worker(&env(&world)).await;
    let id = world.enqueue("Ana: wait.").await;
    gate.reached().await;
    worker.signal(Signal::TERM);
    worker.wait_for_line("draining").await;
    worker.signal(Signal::TERM);
    assert!(worker.wait().await.success());
    let job = world.job(id).await;
    assert_eq!((job.status.as_str(), job.attempts), ("queued", 0));
}
