//! Brown-outs: a dependency that is down costs no job an attempt, and operators see it.

mod database;
mod documents;

use std::time::{Duration, Instant};

use assay_runtime::testing::WatGuest;
use assay_tests::{AssayProcess, Fault, Operation, Reply, World};
use serde_json::Value;
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, admin, answer, env, env_with_guests, with, worker};

/// An hour: nothing of the kind within a test.
const NEVER: &str = "3600000";

fn expired() -> Reply {
    Reply::error(401, "invalid_request_error", "invalid_api_key")
}

async fn readiness(worker: &AssayProcess) -> Value {
    let response = reqwest::get(format!("{}/readyz", admin(worker).await)).await.expect("the endpoint answers");
    assert_eq!(response.status().as_u16(), 200, "a restart would bring nothing back");
    response.json().await.expect("JSON")
}

async fn metrics(worker: &AssayProcess) -> String {
    let page = reqwest::get(format!("{}/metrics", admin(worker).await)).await.expect("the endpoint answers");
    page.text().await.expect("a body")
}

async fn status(env: &Env, arguments: &[&str]) -> String {
    let mut process = AssayProcess::spawn(&[&["status"], arguments].concat(), env);
    assert!(process.wait().await.success(), "{:?}", process.stderr());
    process.stdout().join("\n")
}

async fn enqueue(world: &World, files: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for _ in 0..files {
        ids.push(world.enqueue(TRANSCRIPT).await);
    }
    ids
}

/// Every job due now, in place of waiting for its hold.
async fn all_due(world: &World) {
    sqlx::query("UPDATE processing_jobs SET next_run_at = now() WHERE status = 'queued'")
        .execute(world.database.pool())
        .await
        .expect("an update of the jobs");
}

/// They succeed, each in its first attempt.
async fn all_succeed_at_once(world: &World, files: &[Uuid]) {
    for id in files {
        world.wait_for_status(*id, "succeeded").await;
        assert_eq!(world.job(*id).await.attempts, 1, "what was held gave its attempt back");
    }
}

/// Returns how many jobs were claimed so far, which settling does not take back.
async fn claims(world: &World) -> i64 {
    sqlx::query_scalar("SELECT coalesce(sum(lease_token), 0)::bigint FROM processing_jobs")
        .fetch_one(world.database.pool())
        .await
        .expect("a sum")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_at_twenty_workers_fails_no_file_and_is_asked_a_few_times() {
    const WORKERS: usize = 20;
    let world = World::start().await;
    world.model.always(expired());
    // Held jobs come back at once: without breakers each of them would ask again and again.
    let changes = [("WORKER_CONCURRENCY", "2"), ("JOB_HOLD_MS", "20"), ("BREAKER_PROBE_MS", "2000")];
    let env = with(env(&world), &changes);
    let files = enqueue(&world, 3 * WORKERS).await;
    let begun = Instant::now();
    let workers = futures::future::join_all((0..WORKERS).map(|_| worker(&env))).await;
    for worker in &workers {
        worker.wait_for_line("breaker_opened").await;
    }
    // So long that each worker has probed.
    let asked = world.model.calls();
    world.model.wait_for_calls(asked + WORKERS).await;
    // A jittered probe comes after 1.6 s at the soonest.
    let probes = begun.elapsed().div_duration_f64(Duration::from_millis(1600)).ceil() as usize;
    let calls = world.model.calls();
    // Two jobs, the question that opens the breaker, and the probes.
    assert!(calls <= WORKERS * (3 + probes), "{calls} calls, and at most {probes} probes of each worker");
    for id in &files {
        let file = world.file(*id).await;
        assert!(["queued", "processing"].contains(&file.status.as_str()), "{file:?}");
    }
    world.model.always(Reply::json(&answer()));
    all_succeed_at_once(&world, &files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_quota_is_shown_with_its_cure_until_a_probe_succeeds() {
    let world = World::start().await;
    world.model.always(Reply::error(429, "insufficient_quota", "insufficient_quota"));
    let env = with(env(&world), &[("WORKER_LEASE_MS", "2000"), ("WORKER_BEAT_MS", "200"), ("JOB_HOLD_MS", "20")]);
    let worker = worker(&env).await;
    let files = enqueue(&world, 1).await;
    worker.wait_for_line("breaker_opened").await;

    let open = &readiness(&worker).await["breakers"][0];
    let printed = ["dependency", "reason", "code", "cure"].map(|name| open[name].as_str().unwrap_or_default());
    let cure = "Top up the account. Held jobs go on within two minutes.";
    assert_eq!(printed, ["model", "quota", "llm_quota_exhausted", cure]);
    let line = "assay_breakers_open{dependency=\"model\",reason=\"quota\"}";
    assert!(metrics(&worker).await.contains(&format!("{line} 1")));
    world.wait_until("the beat that shows it", async || status(&env, &[]).await.contains(cure)).await;
    let overview: Value = serde_json::from_str(&status(&env, &["--json"]).await).expect("JSON");
    assert_eq!(overview["workers"][0]["breakers"][0]["reason"], "quota");

    world.model.always(Reply::json(&answer()));
    all_succeed_at_once(&world, &files).await;
    worker.wait_for_line("breaker closed").await;
    assert_eq!(readiness(&worker).await["breakers"], serde_json::json!([]));
    assert!(metrics(&worker).await.contains(&format!("{line} 0")));
    world.wait_until("the beat that takes it back", async || !status(&env, &[]).await.contains(cure)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_failures_of_ten_hold_what_is_in_hand_and_nothing_more_is_claimed() {
    let world = World::start().await;
    let gate = assay_tests::Gate::new();
    let held = gate.clone();
    world.model.respond(move |call| match call.body["model"].as_str() {
        Some("tiny") => Reply::status(500, "{}").held(&held),
        _ => Reply::answer("{}"),
    });
    let changes = [("BREAKER_PROBE_MS", NEVER), ("JOB_HOLD_MS", NEVER)];
    let first = worker_of_two_models(&world, "6", &changes).await;
    let six = async || {
        let mut files = Vec::new();
        for _ in 0..6 {
            files.push(enqueue_for(&world, "small").await);
        }
        files
    };
    let mut files = six().await;
    // All six are with the model when it fails.
    world.model.wait_for_calls(6).await;
    gate.release();
    first.wait_for_line("breaker_opened").await;
    // A claim may be under way, sent before the breaker opened. After this file, no such claim is left.
    look(&world).await;
    let outcomes = async || {
        let mut outcomes = Vec::new();
        for id in &files {
            outcomes.extend(world.attempts(*id).await.into_iter().map(|attempt| attempt.outcome));
        }
        outcomes.sort();
        outcomes
    };
    world.wait_until("six outcomes", async || outcomes().await.len() == 6).await;
    assert_eq!(outcomes().await, ["held", "held", "retried", "retried", "retried", "retried"]);
    // Everything is due, and a worker with free slots that looks at the queue takes none of it.
    files.extend(six().await);
    all_due(&world).await;
    look(&world).await;
    // Six jobs and two of the other model; the seventh call of the one that fails asked it itself, without a document.
    assert_eq!((claims(&world).await, world.model.calls()), (6 + 2, 7 + 2));

    // Another worker has no bad news yet.
    world.model.always(Reply::answer("{}"));
    let _second = worker_of_two_models(&world, "6", &changes).await;
    for id in &files {
        world.wait_for_status(*id, "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_bucket_keys_stop_claims_until_a_probe_succeeds() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let denied = Fault::Status { status: 403, code: "AccessDenied" };
    // Keys without the right to look at the bucket itself do all work, so it is not looked at.
    for operation in [Operation::Bucket, Operation::Delete, Operation::Get, Operation::Put] {
        world.objects.fault_always(operation, "", denied.clone());
    }
    let worker = worker(&with(env(&world), &[("JOB_HOLD_MS", "20"), ("WORKER_CONCURRENCY", "2")])).await;
    let files = enqueue(&world, 6).await;
    let line = worker.wait_for_line("breaker_opened").await;
    assert!(line.contains("s3_access_denied") && line.contains("S3_SECRET_ACCESS_KEY"), "{line}");
    // Claims stand while the bucket is probed again and again.
    let probed = world.objects.count(Operation::Put, "/probe");
    world.objects.wait_for(Operation::Put, "/probe", probed + 3).await;
    let claimed = claims(&world).await;
    world.objects.wait_for(Operation::Put, "/probe", probed + 6).await;
    assert_eq!(claims(&world).await, claimed);
    assert_eq!(world.model.calls(), 0);
    assert_eq!(readiness(&worker).await["breakers"][0]["dependency"], "bucket");

    world.objects.clear_faults();
    for operation in [Operation::Bucket, Operation::Delete] {
        world.objects.fault_always(operation, "", denied.clone());
    }
    all_succeed_at_once(&world, &files).await;
    worker.wait_for_line("breaker closed").await;
}

/// Returns a guest that asks a model by the operator's name.
fn asks(alias: &str) -> WatGuest {
    let mut guest = WatGuest::new(alias);
    let question = guest.data.text("What is it about?");
    let (at, length) = guest.data.text(alias);
    let mut prompt = guest.data.prompt(question, None);
    prompt[5..8].copy_from_slice(&[1, at, length]);
    let ask = guest.data.ask(&[prompt]);
    let document = guest.data.text("{}");
    let accept = guest.data.accept(document);
    guest.advance(format!("(select (i32.const {accept}) (i32.const {ask}) (local.get $answers_len))"))
}

/// Returns a worker of two guests that ask a model each: `small` and `large`.
async fn worker_of_two_models(world: &World, slots: &str, changes: &[(&str, &str)]) -> AssayProcess {
    let env = env_with_guests(world, &[asks("small"), asks("large")]);
    let models = [
        ("LLM_MODELS", "small=tiny,large=huge"),
        ("REPORT_PROMPT_VERSION", "large"),
        ("JOB_HOLD_MS", "20"),
        ("WORKER_CONCURRENCY", slots),
    ];
    worker(&with(with(env, &models), changes)).await
}

/// Returns a worker of two models, of which `small` refuses the key.
async fn worker_with_one_model_away(world: &World, slots: &str) -> AssayProcess {
    world.model.respond(|call| match call.body["model"].as_str() {
        Some("tiny") => expired(),
        _ => Reply::answer("{}"),
    });
    worker_of_two_models(world, slots, &[]).await
}

async fn enqueue_for(world: &World, version: &str) -> Uuid {
    let file = world.upload("txt", TRANSCRIPT).await;
    world.enqueue_file(file, Some(version)).await;
    file
}

/// Waits until the worker has claimed all jobs that it may, the last one of the queue among them.
async fn look(world: &World) {
    let last = enqueue_for(world, "large").await;
    world.wait_for_status(last, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_goes_on_while_another_one_is_away() {
    let world = World::start().await;
    let worker = worker_with_one_model_away(&world, "2").await;
    let waiting = [enqueue_for(&world, "small").await, enqueue_for(&world, "small").await];
    let line = worker.wait_for_line("breaker_opened").await;
    assert!(line.contains("model:small"), "{line}");
    // Jobs of the other release are not behind those that wait, although these are due and older.
    for _ in 0..5 {
        look(&world).await;
    }
    assert_eq!(readiness(&worker).await["breakers"].as_array().map(Vec::len), Some(1));
    world.model.always(Reply::answer("{}"));
    all_succeed_at_once(&world, &waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_takes_no_job_and_no_slot() {
    let world = World::start().await;
    let gate = assay_tests::Gate::new();
    let worker = worker_with_one_model_away(&world, "1").await;
    let waiting = enqueue_for(&world, "small").await;
    worker.wait_for_line("breaker_opened").await;
    let held = gate.clone();
    world.model.respond(move |call| match call.body["model"].as_str() {
        Some("tiny") => Reply::answer("{}"),
        _ => Reply::answer("{}").held(&held),
    });
    let busy = enqueue_for(&world, "large").await;
    gate.reached().await;
    // The only slot is taken.
    worker.wait_for_line("breaker closed").await;
    assert_eq!(world.file(busy).await.status, "processing");
    gate.release();
    all_succeed_at_once(&world, &[waiting, busy]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_alias_holds_its_release_and_is_shown_nowhere() {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let env = env_with_guests(&world, &[asks("MARKERALIAS"), asks("large")]);
    let changes = [("LLM_MODELS", "large=huge"), ("REPORT_PROMPT_VERSION", "large")];
    // Its prompt version is an operator's word, and appears; as an alias it is the guest's.
    let worker = worker(&with(env, &changes)).await;
    let file = enqueue_for(&world, "MARKERALIAS").await;
    let line = worker.wait_for_line("breaker_opened").await;
    assert!(line.contains("model:?") && line.contains("llm_model_not_found"), "{line}");
    assert!(!metrics(&worker).await.contains("model:MARKERALIAS"));
    let open = readiness(&worker).await["breakers"].to_string();
    assert!(!open.contains("MARKERALIAS"), "{open}");
    let other = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(other, "succeeded").await;
    assert_eq!(world.job(file).await.attempts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_model_and_a_missing_bucket_open_their_breakers_at_once() {
    for (reason, dependency) in [("model", "model"), ("bucket", "bucket")] {
        let world = World::start().await;
        if reason == "model" {
            world.model.always(Reply::error(404, "invalid_request_error", "model_not_found"));
        } else {
            world.model.always(Reply::json(&answer()));
            let missing = Fault::Status { status: 404, code: "NoSuchBucket" };
            for operation in [Operation::Bucket, Operation::Get, Operation::Put] {
                world.objects.fault_always(operation, "", missing.clone());
            }
        }
        let env = with(env(&world), &[("JOB_HOLD_MS", "20"), ("BREAKER_PROBE_MS", "100")]);
        let worker = worker(&env).await;
        let file = world.enqueue(TRANSCRIPT).await;
        worker.wait_for_line("breaker_opened").await;
        let breaker = &readiness(&worker).await["breakers"][0];
        assert_eq!((breaker["dependency"].as_str(), breaker["reason"].as_str()), (Some(dependency), Some(reason)));
        world.objects.clear_faults();
        world.model.always(Reply::json(&answer()));
        all_succeed_at_once(&world, &[file]).await;
    }
}
