//! Retries: failed jobs get a new life, with the answers that they have or, after a rejection, afresh.

use std::fs;

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{AssayProcess, Fault, Gate, Operation, Reply, World, compile};
use serde_json::Value;
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, answer, die, env, env_with_guests, outcomes, with, worker};

/// Runs `assay …` and returns its exit code and what it wrote to standard output and standard error.
async fn assay(env: &Env, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut process = AssayProcess::spawn(arguments, env);
    let code = process.wait().await.code();
    (code, process.stdout().join("\n"), process.stderr().join("\n"))
}

/// Runs `assay …`, which has to succeed, and returns what it printed.
async fn done(env: &Env, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = assay(env, arguments).await;
    assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
    stdout
}

/// Enqueues a file whose job has one attempt only.
async fn enqueue_once(world: &World) -> Uuid {
    let id = world.upload("txt", TRANSCRIPT).await;
    let sql = "WITH job AS (SELECT assay_enqueue($1, run_at => now() + interval '1 hour') AS id) SELECT id FROM job";
    sqlx::query(sql).bind(id).execute(world.database.pool()).await.expect("a job");
    let sql = "UPDATE processing_jobs SET max_attempts = 1 WHERE file_id = $1";
    sqlx::query(sql).bind(id).execute(world.database.pool()).await.expect("an update");
    world.make_due(id).await;
    id
}

/// Returns key and life of every answer of the file's job.
async fn journal(world: &World, file: Uuid) -> Vec<(i32, String)> {
    let sql = "SELECT a.life, a.key FROM job_answers a JOIN processing_jobs j ON j.id = a.job_id
                WHERE j.file_id = $1 ORDER BY a.life, a.ordinal";
    sqlx::query_as(sql).bind(file).fetch_all(world.database.pool()).await.expect("the journal")
}

/// Returns a file whose report could not be written, by a worker that goes on; its one answer is in the journal.
async fn failed_with_an_answer(world: &World) -> Uuid {
    world.objects.fault_always(Operation::Put, "report.json", Fault::slow_down());
    let id = enqueue_once(world).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("s3_write_failed"));
    world.objects.clear_faults();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_did_not_fail_by_its_answers_goes_on_with_them_on_its_release() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()).usage(10, 20));
    let env = env(&world);
    let _worker = worker(&env).await;
    let id = failed_with_an_answer(&world).await;
    let before = world.job(id).await;
    assert_eq!(world.model.calls(), 1);

    let shown = done(&env, &["jobs", "retry", &id.to_string()]).await;
    assert!(shown.contains("s3_write_failed  default  with its answers"), "{shown}");
    assert!(shown.contains("requeued 1 job"), "{shown}");
    let file = world.wait_for_status(id, "succeeded").await;
    assert_eq!((file.error_code, file.processing_attempts), (None, 1));
    assert_eq!(world.model.calls(), 1, "nothing was bought twice");
    let after = world.job(id).await;
    assert_eq!((after.life, after.attempts, after.guest_digest), (2, 1, before.guest_digest));
    let attempts = world.attempts(id).await;
    let spent: Vec<_> = attempts.iter().map(|one| (one.life, one.tokens_in, one.tokens_out)).collect();
    assert_eq!(spent, [(1, 10, 20), (2, 0, 0)]);
    let journal = journal(&world, id).await;
    assert_eq!((journal.len(), &journal[0].1), (2, &journal[1].1), "two rows, one object");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_goes_on_with_its_answers_and_the_request_is_forgotten() {
    let world = World::start().await;
    let stalled = Gate::new();
    world.model.always(Reply::json(&answer()));
    world.objects.fault_always(Operation::Put, "report.json", Fault::Stall(stalled.clone()));
    let env = env(&world);
    let _worker = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    stalled.reached().await;
    done(&env, &["jobs", "cancel", &id.to_string()]).await;
    world.wait_for_status(id, "failed").await;
    world.objects.clear_faults();
    let job = world.job(id).await.id.to_string();
    done(&env, &["jobs", "retry", &job]).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.model.calls(), 1);
    assert_eq!(outcomes(&world, id).await, [(1, "failed".to_owned()), (2, "succeeded".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rejection_the_channels_release_asks_the_model_again() {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let (rejects, mended) = (hostile::rejects(), WatGuest::new("mended"));
    let env = env_with_guests(&world, std::slice::from_ref(&rejects));
    compile(&env, &[rejects, WatGuest::new("mended")]).await;
    let worker = worker(&env).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    let (before, calls) = (world.job(id).await, world.model.calls());
    let path = world.folder().join("mended.wasm");
    fs::write(&path, mended.build()).expect("a file");
    done(&env, &["release", "publish", &path.display().to_string()]).await;
    done(&env, &["release", "activate", "mended"]).await;
    worker.wait_for_line("channel exchanged").await;

    let shown = done(&env, &["jobs", "retry", "--code", "schema_validation_failed"]).await;
    assert!(shown.contains("default  without answers"), "{shown}");
    let file = world.wait_for_status(id, "succeeded").await;
    assert_eq!(file.prompt_version.as_deref(), Some("mended"));
    assert_eq!(file.storage_key_raw_llm_output, None, "what the first life left is not the second's");
    assert_ne!(world.job(id).await.guest_digest, before.guest_digest);
    assert_eq!(world.model.calls(), 2 * calls);
}

/// Ends jobs that wait as failed, as a worker would have done it.
async fn fail(world: &World, files: &[Uuid], code: &str, ago: &str) {
    for sql in [
        "UPDATE files SET status = 'failed', error_code = $2, processed_at = now() - $3::text::interval WHERE id = any ($1)",
        "UPDATE processing_jobs SET status = 'failed', last_error_code = $2, updated_at = now() - $3::text::interval
          WHERE file_id = any ($1)",
    ] {
        sqlx::query(sql).bind(files).bind(code).bind(ago).execute(world.database.pool()).await.expect("an update");
    }
}

/// Lives of the files' jobs, in their order.
async fn lives(world: &World, files: &[Uuid]) -> Vec<i32> {
    let mut lives = Vec::new();
    for file in files {
        lives.push(world.job(*file).await.life);
    }
    lives
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_selected_by_code_and_age_and_begin_at_a_rate() {
    let world = World::start().await;
    let env = env(&world);
    let mut files = Vec::new();
    for _ in 0..5 {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    fail(&world, &files[..3], "llm_timeout", "1 hour").await;
    fail(&world, &files[3..4], "llm_timeout", "10 days").await;
    fail(&world, &files[4..], "guest_trap", "1 hour").await;

    let (code, _, stderr) = assay(&env, &["jobs", "retry"]).await;
    assert_eq!(code, Some(2), "{stderr}");
    let (code, _, stderr) = assay(&env, &["jobs", "retry", "--code", "llm_timeouts"]).await;
    assert!(code == Some(2) && stderr.contains("docs/errors.md"), "{stderr}");

    let selected = ["jobs", "retry", "--code", "llm_timeout", "--since", "7d", "--rate", "30/min"];
    let shown = done(&env, &[&selected[..], &["--dry-run"]].concat()).await;
    assert!(shown.contains("would requeue 3 jobs") && shown.contains("(dry run)"), "{shown}");
    assert_eq!(lives(&world, &files).await, [1; 5]);
    let shown: Value = serde_json::from_str(&done(&env, &[&selected[..], &["--json"]].concat()).await).expect("JSON");
    assert_eq!((&shown["jobs"], &shown["groups"][0]["afresh"]), (&3.into(), &false.into()));
    assert_eq!(lives(&world, &files).await, [2, 2, 2, 1, 1]);
    let sql = "SELECT extract(epoch FROM next_run_at - min(next_run_at) OVER ())::float8 FROM processing_jobs
                WHERE status = 'queued' ORDER BY next_run_at";
    let spacing: Vec<f64> = sqlx::query_scalar(sql).fetch_all(world.database.pool()).await.expect("times");
    assert_eq!(spacing, [0.0, 2.0, 4.0]);
    done(&env, &["jobs", "retry", "--since", "2000-01-01"]).await;
    assert_eq!(lives(&world, &files).await, [2; 5], "what waits already is left as it is");
    assert_eq!(done(&env, &["jobs", "retry", "--since", "2000-01-01"]).await, "requeued 0 jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_refuses_a_job_that_did_not_fail_and_goes_on() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let env = env(&world);
    let mut worker = worker(&env).await;
    let succeeded = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(succeeded, "succeeded").await;
    die(&mut worker).await;
    let (failed, waits, unknown) = (world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await, Uuid::new_v4());
    fail(&world, &[failed], "llm_timeout", "1 minute").await;
    // The failed one is named twice, in two ways.
    let named = [succeeded, failed, waits, unknown, world.job(failed).await.id].map(|id| id.to_string());
    let arguments: Vec<&str> = ["jobs", "retry"].into_iter().chain(named.iter().map(String::as_str)).collect();
    let (code, stdout, stderr) = assay(&env, &arguments).await;
    assert_eq!(code, Some(1));
    assert!(stdout.contains("requeued 1 job"), "{stdout}");
    for (id, reason) in
        [(succeeded, "it succeeded"), (waits, "it is already queued"), (unknown, "there is no such job")]
    {
        assert!(stderr.contains(&format!("error: {id}: {reason}")), "{reason}: {stderr}");
    }
    assert_eq!(lives(&world, &[succeeded, failed, waits]).await, [1, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_retries_at_once_give_a_job_one_new_life() {
    let world = World::start().await;
    let env = env(&world);
    let mut files = Vec::new();
    for _ in 0..20 {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    fail(&world, &files, "llm_timeout", "1 minute").await;
    let all = ["jobs", "retry", "--code", "llm_timeout", "--json"];
    let (one, other) = tokio::join!(done(&env, &all), done(&env, &all));
    let jobs = |shown: &str| serde_json::from_str::<Value>(shown).expect("JSON")["jobs"].as_u64().expect("a number");
    assert_eq!(jobs(&one) + jobs(&other), 20);
    assert_eq!(lives(&world, &files).await, [2; 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_answers_in_use_by_a_requeued_job_are_not_deleted() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let env = env(&world);
    let mut first = worker(&env).await;
    let id = failed_with_an_answer(&world).await;
    let old = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(old, "succeeded").await;
    die(&mut first).await;
    let age = "UPDATE job_answers SET received_at = now() - interval '8 days'";
    sqlx::query(age).execute(world.database.pool()).await.expect("aged");
    done(&env, &["queue", "pause"]).await;
    done(&env, &["jobs", "retry", &id.to_string()]).await;
    let pruner = worker(&with(env.clone(), &[("RETAIN_ANSWERS_DAYS", "7"), ("RETENTION_EVERY_MS", "50")])).await;
    pruner.wait_for_line("answers pruned").await;
    let answers = |file: Uuid| {
        world.objects.list("users/").into_iter().filter(move |key| key.contains(&format!("{file}/answers/"))).count()
    };
    assert_eq!((answers(id), answers(old)), (1, 0));
    assert_eq!(journal(&world, id).await.len(), 2);
    done(&env, &["queue", "resume"]).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.model.calls(), 2, "one for each file");
    // Then they go, with every row that names them.
    world.wait_until("the end of the journal", async || journal(&world, id).await.is_empty()).await;
    assert_eq!(answers(id), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_made_while_a_retry_waits_for_its_file_stays() {
    let world = World::start().await;
    let env = env(&world);
    let id = world.enqueue(TRANSCRIPT).await;
    fail(&world, &[id], "llm_timeout", "0").await;
    let mut application = world.database.pool().begin().await.expect("a transaction");
    let rename = "UPDATE files SET original_filename = 'renamed.txt' WHERE id = $1";
    sqlx::query(rename).bind(id).execute(&mut *application).await.expect("a change");
    let ids = id.to_string();
    let arguments = ["jobs", "retry", ids.as_str()];
    let retry = done(&env, &arguments);
    let commit = async {
        world
            .wait_until("the retry waits for the row", async || {
                let sql = "SELECT count(*) FROM pg_stat_activity
                            WHERE datname = current_database() AND wait_event_type = 'Lock'";
                let waiting: i64 = sqlx::query_scalar(sql).fetch_one(world.database.pool()).await.expect("a count");
                waiting == 1
            })
            .await;
        application.commit().await.expect("the end of the transaction");
    };
    tokio::join!(retry, commit);
    assert_eq!(lives(&world, &[id]).await, [2]);
    let (status, name): (String, String) = sqlx::query_as("SELECT status, original_filename FROM files WHERE id = $1")
        .bind(id)
        .fetch_one(world.database.pool())
        .await
        .expect("a file");
    assert_eq!((status.as_str(), name.as_str()), ("queued", "renamed.txt"));
}
