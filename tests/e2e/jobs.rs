//! Looking at jobs: lists, and one job with all that happened to it.

use assay_tests::{AssayProcess, Gate, Reply, World};
use serde_json::Value;
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, answer, env, with, worker};

/// Runs `assay jobs …`, which has to succeed, and returns what it printed.
async fn jobs(env: &Env, arguments: &[&str]) -> String {
    let mut process = AssayProcess::spawn(&[&["jobs"], arguments].concat(), env);
    let code = process.wait().await.code();
    assert_eq!(code, Some(0), "{arguments:?}: {:?}", process.stderr());
    process.stdout().join("\n")
}

/// Returns the files that a list has, in its order.
async fn listed(env: &Env, arguments: &[&str]) -> Vec<Uuid> {
    let output = jobs(env, &[&["list", "--json"], arguments].concat()).await;
    let output: Value = serde_json::from_str(&output).expect("JSON");
    let id = |job: &Value| job["file_id"].as_str().expect("an id").parse().expect("an id");
    output.as_array().expect("an array").iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_shows_every_attempt_with_code_chain_tokens_times_and_run_folder() {
    let world = World::start().await;
    world.model.push(Reply::status(500, "{}"));
    world.model.push(Reply::json(&answer()).usage(10, 20));
    let env = with(env(&world), &[("JOB_BACKOFF_MS", "1")]);
    let _worker = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let file = world.wait_for_status(id, "succeeded").await;
    let job = world.job(id).await;
    // By either id, the same.
    let shown = jobs(&env, &["show", &id.to_string(), "--json"]).await;
    assert_eq!(jobs(&env, &["show", &job.id.to_string(), "--json"]).await, shown);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["status"], &shown["answers"], &shown["life"]), (&"succeeded".into(), &1.into(), &1.into()));
    let (first, second) = (&shown["history"][0], &shown["history"][1]);
    assert_eq!((&first["outcome"], &first["code"]), (&"retried".into(), &"llm_provider_5xx".into()));
    assert_eq!(first["step"], "call_model");
    assert!(first["message"].as_str().is_some_and(|message| message.contains("500")), "{first}");
    assert_eq!((&second["tokens_in"], &second["tokens_out"]), (&10.into(), &20.into()));
    assert!(second["guest_micros"].as_i64() > Some(0) && second["seconds"].as_f64() > Some(0.0), "{second}");
    assert_eq!(second["guest_digest"].as_str(), file.guest_digest.as_deref());
    let report = file.storage_key_report.expect("a report");
    let folder = second["run_folder"].as_str().expect("a folder");
    assert_eq!(
        (second["report_key"].as_str(), format!("{folder}report.json")),
        (Some(report.as_str()), report.clone())
    );
    assert!(world.objects.get(&report).await.is_some());
    let output = jobs(&env, &["show", &id.to_string()]).await;
    for part in ["llm_provider_5xx", "10 in, 20 out", folder] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let mut unknown = AssayProcess::spawn(&["jobs", "show", &Uuid::new_v4().to_string()], &env);
    assert_eq!(unknown.wait().await.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_by_status_code_channel_and_age_the_last_changed_first() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.push(Reply::json(&answer()));
    world.model.push(Reply::answer("no JSON"));
    world.model.push(Reply::json(&answer()).held(&gate));
    let env = with(env(&world), &[("WORKER_CONCURRENCY", "1")]);
    let _worker = worker(&env).await;
    let good = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(good, "succeeded").await;
    let bad = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(bad, "failed").await;
    let runs = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    let waits = world.upload("txt", TRANSCRIPT).await;
    sqlx::query("SELECT assay_enqueue($1, channel => 'batch')")
        .bind(waits)
        .execute(world.database.pool())
        .await
        .expect("a job");
    assert_eq!(listed(&env, &[]).await, [waits, runs, bad, good]);
    assert_eq!(listed(&env, &["--limit", "2"]).await, [waits, runs]);
    assert_eq!(listed(&env, &["--status", "processing"]).await, [runs]);
    assert_eq!(listed(&env, &["--status", "failed", "--code", "schema_validation_failed"]).await, [bad]);
    assert_eq!(listed(&env, &["--channel", "batch"]).await, [waits]);
    sqlx::query("UPDATE processing_jobs SET updated_at = now() - interval '2 days' WHERE file_id = $1")
        .bind(good)
        .execute(world.database.pool())
        .await
        .expect("an update");
    assert_eq!(listed(&env, &["--since", "24h"]).await, [waits, runs, bad]);
    let output = jobs(&env, &["list", "--status", "failed"]).await;
    assert!(output.contains(&bad.to_string()) && output.contains("schema_validation_failed"), "{output}");
    assert_eq!(jobs(&env, &["list", "--channel", "nowhere"]).await, "no jobs found");
    gate.release();
    world.wait_for_status(runs, "succeeded").await;
}
