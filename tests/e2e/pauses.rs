//! Paused channels: nothing is claimed of them, everything else goes on.

use assay_tests::{AssayProcess, Gate, Reply, World};
use serde_json::Value;

use crate::fixtures::{Env, TRANSCRIPT, answer, env, outcomes, short_leases, with, worker};

/// Runs `assay queue …`, which has to succeed, and returns what it printed.
async fn queue(env: &Env, arguments: &[&str]) -> String {
    let mut process = AssayProcess::spawn(&[&["queue"], arguments].concat(), env);
    let code = process.wait().await.code();
    assert_eq!(code, Some(0), "{arguments:?}: {:?}", process.stderr());
    process.stdout().join("\n")
}

/// Enqueues a transcript in a channel.
async fn enqueue(world: &World, channel: &str) -> uuid::Uuid {
    let id = world.upload("txt", TRANSCRIPT).await;
    sqlx::query("SELECT assay_enqueue($1, channel => $2)")
        .bind(id)
        .bind(channel)
        .execute(world.database.pool())
        .await
        .expect("a job");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_claimed_during_a_pause_and_running_jobs_go_on() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.push(Reply::json(&answer()).held(&gate));
    world.model.always(Reply::json(&answer()));
    let env = short_leases(env(&world));
    let worker = worker(&env).await;
    let in_hand = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;

    let output = queue(&env, &["pause", "--reason", "the provider\u{1b} is down", "--by", "anna"]).await;
    assert!(output.starts_with("all channels: paused\n"), "{output}");
    assert!(output.contains("anna  the provider\u{fffd} is down"), "{output}");
    let waits = world.enqueue(TRANSCRIPT).await;
    // Beats go on: the lease in hand is renewed again and again, and the queue was looked at between two of them.
    let claimed = world.job(in_hand).await.locked_at.expect("it is held");
    world
        .wait_for_job(in_hand, |job| job.heartbeat_at.is_some_and(|beat| beat - claimed > time::Duration::SECOND))
        .await;
    gate.release();
    world.wait_for_status(in_hand, "succeeded").await;
    let job = world.job(waits).await;
    assert_eq!((job.status.as_str(), job.lease_token), ("queued", 0));

    let output = queue(&env, &["pause", "--by", "ben"]).await;
    assert!(output.starts_with("all channels: paused already\n") && output.contains("anna"), "{output}");
    assert_eq!(queue(&env, &["resume"]).await, "all channels: resumed");
    world.wait_for_status(waits, "succeeded").await;
    assert_eq!(queue(&env, &["resume"]).await, "all channels: not paused");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_channel_holds_its_own_jobs_back_and_no_others() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let env = env(&world);
    queue(&env, &["pause", "--channel", "batch", "--by", "anna"]).await;
    let _worker = worker(&env).await;
    let (first, other) = (enqueue(&world, "batch").await, enqueue(&world, "default").await);
    world.wait_for_status(other, "succeeded").await;
    assert_eq!(world.job(first).await.lease_token, 0);

    let mut status = AssayProcess::spawn(&["status", "--json"], &env);
    assert!(status.wait().await.success(), "{:?}", status.stderr());
    let status: Value = serde_json::from_str(&status.stdout().join("\n")).expect("JSON");
    let paused = &status["paused"];
    assert_eq!((&paused[0]["channel"], &paused[0]["actor"]), (&"batch".into(), &"anna".into()), "{paused}");

    // What was paused one by one is resumed one by one.
    queue(&env, &["pause"]).await;
    let output = queue(&env, &["resume"]).await;
    assert!(output.contains("all channels: resumed") && output.contains("\nbatch "), "{output}");
    let last = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(last, "succeeded").await;
    assert_eq!(world.job(first).await.lease_token, 0);
    queue(&env, &["resume", "--channel", "batch"]).await;
    world.wait_for_status(first, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_job_waits_in_a_paused_channel() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.push(Reply::json(&answer()).held(&gate));
    world.model.always(Reply::json(&answer()));
    let env = short_leases(env(&world));
    let mut first = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    queue(&env, &["pause"]).await;
    assay_tests::die(&mut first).await;
    let patient = with(env.clone(), &[("WORKER_POLL_MS", "60000")]);
    let second = worker(&patient).await;
    second.wait_for_line("took back the job of a dead worker").await;
    let file = world.wait_for_status(id, "queued").await;
    assert_eq!(file.error_code, None);
    // Its poll comes in a minute: it is woken.
    queue(&env, &["resume"]).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(outcomes(&world, id).await, [(1, "lost".to_owned()), (2, "succeeded".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_channel_keeps_a_job_of_an_unknown_prompt_version() {
    let world = World::start().await;
    let env = env(&world);
    let (paused, other) = (enqueue(&world, "batch").await, enqueue(&world, "default").await);
    let sql = "UPDATE processing_jobs SET prompt_version = 'unknown', next_run_at = now() - interval '1 hour',
                      updated_at = now() - interval '1 hour'";
    sqlx::query(sql).execute(world.database.pool()).await.expect("an update");
    queue(&env, &["pause", "--channel", "batch"]).await;
    let _worker = worker(&with(env.clone(), &[("VERSION_PATIENCE_MS", "500"), ("REAPER_EVERY_MS", "200")])).await;
    let file = world.wait_for_status(other, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("version_not_available"));
    assert_eq!(world.file(paused).await.status, "queued");
    queue(&env, &["resume", "--channel", "batch"]).await;
    world.wait_for_status(paused, "failed").await;
}
