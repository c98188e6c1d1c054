//! Reruns: files that succeeded get a new life on what their channel runs now.

use std::fs;

use assay_runtime::testing::WatGuest;
use assay_tests::{AssayProcess, Gate, Reply, World, compile};
use serde_json::{Value, json};
use sqlx::types::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, env_with_guests, object, with, worker};

/// Returns a world whose workers run `before`, with every guest compiled that a test runs.
async fn world() -> (World, Env) {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let env = env_with_guests(&world, &[before()]);
    compile(&env, &[before()]).await;
    (world, env)
}

fn before() -> WatGuest {
    WatGuest::new("before").document(r#"{"made":"before"}"#)
}

fn after() -> WatGuest {
    WatGuest::new("after").document(r#"{"made":"after"}"#)
}

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

/// Runs `assay … --json`, which has to succeed, and returns its document.
async fn read(env: &Env, arguments: &[&str]) -> Value {
    serde_json::from_str(&done(env, &[arguments, &["--json"]].concat()).await).expect("JSON")
}

/// Publishes a guest and activates it.
async fn activate(world: &World, env: &Env, version: &str, guest: &WatGuest) {
    let path = world.folder().join(format!("{version}.wasm"));
    fs::write(&path, guest.build()).expect("a file");
    done(env, &["release", "publish", &path.display().to_string()]).await;
    done(env, &["release", "activate", version]).await;
}

/// Enqueues so many files and waits until they have succeeded.
async fn succeeded(world: &World, files: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for _ in 0..files {
        ids.push(world.enqueue(TRANSCRIPT).await);
    }
    for id in &ids {
        world.wait_for_status(*id, "succeeded").await;
    }
    ids
}

/// Lives of the files' jobs, in their order.
async fn lives(world: &World, files: &[Uuid]) -> Vec<i32> {
    let mut lives = Vec::new();
    for file in files {
        lives.push(world.job(*file).await.life);
    }
    lives
}

/// Returns seconds from the first to each next run, by the database's clock, in order.
async fn spacing(world: &World) -> Vec<f64> {
    let sql = "SELECT extract(epoch FROM next_run_at - min(next_run_at) OVER ())::float8 FROM processing_jobs
                WHERE status = 'queued' ORDER BY next_run_at";
    sqlx::query_scalar(sql).fetch_all(world.database.pool()).await.expect("times")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_file_keeps_its_report_until_the_next_one_is_made() {
    let (world, env) = world().await;
    let worker = worker(&env).await;
    let id = succeeded(&world, 1).await[0];
    let old = world.file(id).await.storage_key_report.expect("a report");
    activate(&world, &env, "after", &after()).await;
    worker.wait_for_line("channel exchanged").await;

    let gate = Gate::new();
    world.model.push(Reply::answer("{}").held(&gate));
    let shown = done(&env, &["rerun", &id.to_string()]).await;
    assert!(shown.contains("requeued 1 file, the last to run at "), "{shown}");
    assert!(shown.contains("after@1"), "{shown}");
    gate.reached().await;
    let file = world.file(id).await;
    assert_eq!((file.status.as_str(), file.storage_key_report.as_ref()), ("processing", Some(&old)));
    assert_eq!(done(&env, &["report", &id.to_string()]).await, r#"{"made":"before"}"#);
    let job = world.job(id).await;
    assert_eq!((job.life, job.attempts, job.priority, job.prompt_version), (2, 1, -1, None));

    gate.release();
    let file = world.wait_for_status(id, "succeeded").await;
    let new = file.storage_key_report.expect("a report");
    assert_ne!(new, old);
    assert_eq!(
        (object(&world, &old).await, object(&world, &new).await),
        (json!({"made": "before"}), json!({"made": "after"}))
    );
    assert_eq!(file.prompt_version.as_deref(), Some("after"));
    let history = read(&env, &["status", &id.to_string()]).await["history"].clone();
    let history: Vec<_> =
        history.as_array().expect("attempts").iter().map(|one| [&one["life"], &one["report_key"]]).collect();
    assert_eq!(history, [[&json!(1), &json!(old)], [&json!(2), &json!(new)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeued_file_runs_on_the_release_of_its_channel() {
    let (world, env) = world().await;
    let _worker = worker(&env).await;
    let id = world.upload("txt", TRANSCRIPT).await;
    sqlx::query("SELECT assay_enqueue($1, prompt_version => 'before', channel => 'batch')")
        .bind(id)
        .execute(world.database.pool())
        .await
        .expect("a job");
    world.wait_for_status(id, "succeeded").await;
    let path = world.folder().join("after.wasm");
    fs::write(&path, after().build()).expect("a file");
    done(&env, &["release", "publish", &path.display().to_string()]).await;
    done(&env, &["release", "activate", "after", "--channel", "batch"]).await;
    done(&env, &["rerun", "--prompt-version", "before", "--priority", "3"]).await;
    let file = world.wait_for_file(id, |file| file.prompt_version.as_deref() == Some("after")).await;
    assert_eq!(file.status, "succeeded");
    let job = world.job(id).await;
    assert_eq!((job.channel.as_str(), job.priority, job.prompt_version), ("batch", 3, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_spaces_the_new_lives_and_the_command_does_not_wait_for_them() {
    let (world, env) = world().await;
    let mut worker = worker(&env).await;
    let files = succeeded(&world, 5).await;
    assay_tests::die(&mut worker).await;
    let shown = read(&env, &["rerun", "--prompt-version", "before", "--rate", "30/min"]).await;
    assert_eq!(shown["files"], 5);
    assert_eq!(spacing(&world).await, [0.0, 2.0, 4.0, 6.0, 8.0]);
    assert_eq!(lives(&world, &files).await, [2; 5]);
    // Files that are named begin in the order named.
    let more = succeeded_without_worker(&world, &files).await;
    let named: Vec<String> = more.iter().rev().map(Uuid::to_string).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let shown = read(&env, &[&["rerun", "--rate", "2/h"][..], &named].concat()).await;
    let mut begin = Vec::new();
    for id in more.iter().rev() {
        begin.push(world.job(*id).await.next_run_at);
    }
    let gaps: Vec<_> = begin.windows(2).map(|pair| (pair[1] - pair[0]).whole_seconds()).collect();
    assert_eq!(gaps, [1800; 4]);
    let last = time::OffsetDateTime::parse(
        shown["last_begins_at"].as_str().expect("an instant"),
        &time::format_description::well_known::Rfc3339,
    );
    assert_eq!(last.ok(), begin.last().copied());
}

/// Lets jobs that wait have succeeded again, as a worker would have done it.
async fn succeeded_without_worker(world: &World, files: &[Uuid]) -> Vec<Uuid> {
    for sql in [
        "UPDATE processing_jobs SET status = 'succeeded' WHERE status = 'queued'",
        "UPDATE files SET status = 'succeeded', processed_at = now() WHERE status = 'queued'",
    ] {
        sqlx::query(sql).execute(world.database.pool()).await.expect("an update");
    }
    files.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_files_by_release_and_changes_nothing() {
    let (world, env) = world().await;
    let worker = worker(&with(env.clone(), &[("WORKER_BEAT_MS", "200")])).await;
    let files = succeeded(&world, 3).await;
    let shown = done(&env, &["rerun", "--since", "1h", "--rate", "1/h", "--dry-run"]).await;
    assert!(shown.contains("before of GUEST_DIR") && shown.contains("would requeue 3 files"), "{shown}");
    assert!(shown.contains("(dry run)"), "{shown}");
    activate(&world, &env, "after", &after()).await;
    worker.wait_for_line("channel exchanged").await;
    let shown = read(&env, &["rerun", "--prompt-version", "before", "--dry-run"]).await;
    let group = json!({ "prompt_version": "before", "channel": "default", "files": 3, "runs_on": "after@1" });
    assert_eq!((&shown["dry_run"], &shown["groups"]), (&json!(true), &json!([group])));
    assert_eq!(lives(&world, &files).await, [1; 3]);
    for id in files {
        let (file, job) = (world.file(id).await, world.job(id).await);
        assert_eq!((file.status.as_str(), job.status.as_str(), job.priority), ("succeeded", "succeeded", 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_rerun_is_refused_with_its_reason() {
    let (world, env) = world().await;
    let mut worker = worker(&env).await;
    let good = succeeded(&world, 2).await;
    world.model.push(Reply::status(400, "{}"));
    let failed = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(failed, "failed").await;
    assay_tests::die(&mut worker).await;
    let (live, fresh, unknown) = (world.enqueue(TRANSCRIPT).await, world.row("txt", 1).await, Uuid::new_v4());
    let named = [good[0], failed, unknown, live, fresh, good[1], good[0]].map(|id| id.to_string());
    let arguments: Vec<&str> = ["rerun"].into_iter().chain(named.iter().map(String::as_str)).collect();
    let (code, stdout, stderr) = assay(&env, &arguments).await;
    assert_eq!(code, Some(1));
    assert!(stdout.contains("requeued 2 files"), "{stdout}");
    for (id, reason) in [
        (failed, "it failed"),
        (unknown, "there is no such file"),
        (live, "it is already queued"),
        (fresh, "it was never enqueued"),
    ] {
        assert!(stderr.contains(&format!("error: {id}: {reason}")), "{reason}: {stderr}");
    }
    assert_eq!(stderr.matches("error: ").count(), 4, "{stderr}");
    assert_eq!(lives(&world, &[good[0], good[1], live, failed]).await, [2, 2, 1, 1]);
    assert_eq!(world.file(failed).await.status, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_selected_by_what_made_their_report_and_when() {
    let (world, env) = world().await;
    let mut worker = worker(&env).await;
    let files = succeeded(&world, 4).await;
    assay_tests::die(&mut worker).await;
    for (id, version, ago) in [
        (files[0], "before", "10 days"),
        (files[1], "before", "1 hour"),
        (files[2], "other", "1 hour"),
        (files[3], "other", "10 days"),
    ] {
        sqlx::query("UPDATE files SET prompt_version = $2, processed_at = now() - $3::text::interval WHERE id = $1")
            .bind(id)
            .bind(version)
            .bind(ago)
            .execute(world.database.pool())
            .await
            .expect("an update");
    }
    let (code, _, stderr) = assay(&env, &["rerun"]).await;
    assert_eq!(code, Some(2), "{stderr}");
    let shown = read(&env, &["rerun", "--prompt-version", "before", "--since", "7d"]).await;
    assert_eq!((&shown["files"], lives(&world, &files).await), (&json!(1), vec![1, 2, 1, 1]));
    done(&env, &["rerun", "--since", "7d"]).await;
    assert_eq!(lives(&world, &files).await, [1, 2, 2, 1], "what waits already is not selected");
    done(&env, &["rerun", "--prompt-version", "other"]).await;
    assert_eq!(lives(&world, &files).await, [1, 2, 2, 2]);
    let shown = done(&env, &["rerun", "--since", "2000-01-01"]).await;
    assert!(shown.contains("requeued 1 file"), "{shown}");
    assert_eq!(lives(&world, &files).await, [2; 4]);
    let shown = done(&env, &["rerun", "--since", "2000-01-01T00:00:00Z"]).await;
    assert_eq!(shown, "requeued 0 files");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_of_many_files_is_renewed_in_full_each_file_once() {
    let (world, env) = world().await;
    let sql = "
        WITH made AS (
            INSERT INTO files (user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes, status,
                               storage_key_report, prompt_version, processed_at)
            SELECT gen_random_uuid(), 'bucket', 'original', 'txt', 'text/plain', 1, 'succeeded', 'report',
                   CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END, now()
              FROM generate_series(1, 12003) n
            RETURNING id
        )
        INSERT INTO processing_jobs (file_id, status) SELECT id, 'succeeded' FROM made";
    sqlx::query(sql).execute(world.database.pool()).await.expect("files");
    let (one, other) = tokio::join!(
        assay(&env, &["rerun", "--prompt-version", "odd", "--rate", "100/s", "--json"]),
        assay(&env, &["rerun", "--prompt-version", "odd", "--rate", "100/s", "--json"]),
    );
    let files = |shown: &(Option<i32>, String, String)| {
        assert_eq!(shown.0, Some(0), "{}", shown.2);
        serde_json::from_str::<Value>(&shown.1).expect("JSON")["files"].as_u64().expect("a number")
    };
    assert_eq!(files(&one) + files(&other), 6002, "two at once share the files");
    assert!(one.2.contains("warning: channel default runs nothing"), "{}", one.2);
    let counted: Vec<(i32, String, i64)> = sqlx::query_as(
        "SELECT j.life, j.status, count(*) FROM processing_jobs j JOIN files f ON f.id = j.file_id AND f.status = j.status
          GROUP BY 1, 2 ORDER BY 1",
    )
    .fetch_all(world.database.pool())
    .await
    .expect("counts");
    assert_eq!(counted, [(1, "succeeded".to_owned(), 6001), (2, "queued".to_owned(), 6002)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_rerun_twice_at_once_gets_one_new_life() {
    let (world, env) = world().await;
    let mut worker = worker(&env).await;
    let id = succeeded(&world, 1).await[0];
    assay_tests::die(&mut worker).await;
    // Both commands see that the file succeeded, and wait for the lock of its job.
    let mut lock = world.database.pool().begin().await.expect("a transaction");
    sqlx::query("SELECT FROM processing_jobs WHERE file_id = $1 FOR UPDATE")
        .bind(id)
        .execute(&mut *lock)
        .await
        .expect("a lock");
    let named = id.to_string();
    let arguments = ["rerun", &named];
    let both = async { tokio::join!(assay(&env, &arguments), assay(&env, &arguments)) };
    let release = async {
        world
            .wait_until("two commands that wait", async || {
                let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
                sqlx::query_scalar::<_, i64>(waiting).fetch_one(world.database.pool()).await.expect("a count") == 2
            })
            .await;
        lock.rollback().await.expect("the end of the lock");
    };
    let ((one, other), ()) = tokio::join!(both, release);
    let mut codes = [one.0, other.0];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(1)], "{}{}", one.2, other.2);
    assert!(format!("{}{}", one.2, other.2).contains("it is already queued"), "{}{}", one.2, other.2);
    let job = world.job(id).await;
    assert_eq!((job.life, job.status.as_str()), (2, "queued"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_rerun_takes_no_report_away() {
    let (world, env) = world().await;
    let _worker = worker(&env).await;
    let id = succeeded(&world, 1).await[0];
    let old = world.file(id).await;
    // As a worker of an earlier version has left it.
    sqlx::query("update job_attempts set report_key = null").execute(world.database.pool()).await.expect("forgotten");
    world.model.push(Reply::refusal("no"));
    done(&env, &["rerun", &id.to_string()]).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("llm_refused"));
    assert_eq!(
        (&file.storage_key_report, &file.prompt_version, &file.guest_digest),
        (&old.storage_key_report, &old.prompt_version, &old.guest_digest)
    );
    let (code, stdout, stderr) = assay(&env, &["report", &id.to_string()]).await;
    assert_eq!((code, stdout.as_str()), (Some(0), r#"{"made":"before"}"#));
    assert!(stderr.contains("this report is from an earlier run: the file is failed now"), "{stderr}");
    let shown = read(&env, &["status", &id.to_string()]).await;
    let keys: Vec<_> =
        shown["history"].as_array().expect("attempts").iter().map(|row| row["report_key"].clone()).collect();
    assert_eq!(keys, [json!(old.storage_key_report), Value::Null]);
}
