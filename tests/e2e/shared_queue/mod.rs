//! Two programs on one queue: what each has claimed is safe from the other, and either may stop at any minute.

mod producers;

use assay_tests::{
    AssayProcess, Gate, Reply, Signal, TestDatabase, World,
    old::{OldJob, OldWorker, SCHEMA},
};
use sqlx::{AssertSqlSafe, Executor, types::Uuid};

use crate::fixtures::{Env, TRANSCRIPT, answer, die, env, outcomes, short_leases, with, worker};

/// Returns a world whose database another program made, and that Assay has adopted.
async fn adopted() -> World {
    let mut world = World::start().await;
    world.database = TestDatabase::empty().await;
    world.database.pool().execute(SCHEMA).await.expect("the other program's schema");
    migrate(&world, &[]).await;
    world.model.always(Reply::json(&answer()));
    world
}

async fn migrate(world: &World, arguments: &[&str]) {
    let env = [("DATABASE_URL".to_owned(), world.database.url().to_owned())].into();
    let mut process = AssayProcess::spawn(&[&["migrate"], arguments].concat(), &env);
    assert!(process.wait().await.success(), "{:?}", process.stderr());
}

async fn execute(world: &World, sql: &str, file: Uuid) {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .bind(file)
        .execute(world.database.pool())
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Uploads a file as the other program does; no job yet.
async fn upload(world: &World) -> Uuid {
    let (file, user) = (Uuid::new_v4(), Uuid::new_v4());
    let key = format!("uploads/{file}.txt");
    world.objects.put(&key, TRANSCRIPT).await;
    sqlx::query("INSERT INTO users VALUES ($1, $2)")
        .bind(user)
        .bind(format!("{user}@example.org"))
        .execute(world.database.pool())
        .await
        .expect("a user");
    sqlx::query(
        "INSERT INTO files (id, user_id, storage_bucket, storage_key_original, original_filename, extension, mime_type, size_bytes,
                            created_at, updated_at)
         VALUES ($1, $2, $3, $4, 'meeting.txt', 'txt', 'text/plain', 41, now(), now())",
    )
    .bind(file)
    .bind(user)
    .bind(world.objects.bucket_name())
    .bind(key)
    .execute(world.database.pool())
    .await
    .expect("a file");
    file
}

const INSERT_JOB: &str =
    "INSERT INTO processing_jobs (id, file_id, created_at, updated_at) VALUES (gen_random_uuid(), $1, now(), now())";
const SAY_QUEUED: &str = "UPDATE files SET status = 'queued', queued_at = now(), error_code = NULL, error_message = NULL, processed_at = NULL WHERE id = $1";

/// Uploads a file and queues it as the other program does.
async fn enqueue(world: &World) -> Uuid {
    let file = upload(world).await;
    execute(world, INSERT_JOB, file).await;
    execute(world, SAY_QUEUED, file).await;
    file
}

async fn old(world: &World) -> OldWorker {
    OldWorker::connect(world.database.url(), "old-1").await.expect("a connection")
}

/// Returns a worker of Assay's with one job in hand, held at the model.
async fn holding(world: &World, env: &Env, gate: &Gate) -> (AssayProcess, Uuid) {
    world.model.push(Reply::json(&answer()).held(gate));
    let worker = worker(env).await;
    let file = enqueue(world).await;
    gate.reached().await;
    (worker, file)
}

/// Ends the lease on the file's job, by the lease's own length.
async fn expire(world: &World, file: Uuid) {
    let sql = "UPDATE processing_jobs SET heartbeat_at = now() - make_interval(secs => lock_ttl_seconds + 1),
                      locked_at = now() - make_interval(secs => lock_ttl_seconds + 1) WHERE file_id = $1";
    execute(world, sql, file).await;
}

async fn claimed(old: &mut OldWorker) -> OldJob {
    old.claim().await.expect("a claim").expect("a job that is due")
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_the_other_program_run_even_if_stuck_for_days() {
    let world = adopted().await;
    let (queued, stuck) = (enqueue(&world).await, enqueue(&world).await);
    let days_ago = "UPDATE processing_jobs SET status = 'processing', locked_by = 'old-9', locked_at = now() - interval '3 days',
                           attempts = 1, heartbeat_at = NULL, updated_at = now() - interval '3 days' WHERE file_id = $1";
    execute(&world, days_ago, stuck).await;
    let _worker = worker(&short_leases(env(&world))).await;
    for file in [queued, stuck] {
        let row = world.wait_for_status(file, "succeeded").await;
        assert_eq!(world.job(file).await.status, "succeeded");
        assert!(row.guest_digest.is_some());
    }
    assert_eq!(
        world.attempts(stuck).await.first().map(|lost| (lost.worker.as_str(), lost.outcome.as_str())),
        Some(("old-9", "lost"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn assays_own_ways_in_work_on_the_other_programs_tables() {
    let world = adopted().await;
    let file = upload(&world).await;
    world.enqueue_file(file, None).await;
    let (mut first, env) = (worker(&short_leases(env(&world))).await, env(&world));
    world.wait_for_status(file, "succeeded").await;
    let transcript = world.folder().join("meeting.txt");
    std::fs::write(&transcript, TRANSCRIPT).expect("a file on disk");
    let user: Uuid =
        sqlx::query_scalar("SELECT id FROM users LIMIT 1").fetch_one(world.database.pool()).await.expect("a user");
    let mut submit =
        AssayProcess::spawn(&["submit", &transcript.display().to_string(), "--user", &user.to_string()], &env);
    assert!(submit.wait().await.success(), "{:?}", submit.stderr());
    world
        .wait_until("both files succeed", async || {
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM files WHERE status = 'succeeded'")
                .fetch_one(world.database.pool())
                .await
                .expect("a count");
            count == 2
        })
        .await;
    first.signal(Signal::TERM);
    assert!(first.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_takeover_by_an_old_worker_assays_writes_nothing() {
    let world = adopted().await;
    let gate = Gate::new();
    let env = with(short_leases(env(&world)), &[("WORKER_CONCURRENCY", "1")]);
    let (mut stalled, file) = holding(&world, &env, &gate).await;
    assert_eq!(world.job(file).await.lock_ttl_seconds, 2, "Assay's own lease");
    stalled.signal(Signal::STOP);
    expire(&world, file).await;
    let mut old = old(&world).await;
    let token = world.job(file).await.lease_token;
    let job = claimed(&mut old).await;
    let held = world.job(file).await;
    assert_eq!(
        (held.locked_by.as_deref(), held.lease_token, held.lock_ttl_seconds),
        (Some("old-1"), token + 1, 300),
        "the token has moved, and a beat each 100 s is enough again"
    );
    assert_eq!(outcomes(&world, file).await, [(token, "lost".to_owned())]);

    stalled.signal(Signal::CONT);
    gate.release();
    stalled.wait_for_line("lost").await;
    // Other writes do not matter: it ends after them.
    stalled.signal(Signal::TERM);
    stalled.wait().await;
    let untouched = world.job(file).await;
    assert_eq!((untouched.locked_by.as_deref(), untouched.lease_token), (Some("old-1"), token + 1));
    assert!(old.beat(&job).await.expect("a beat"));
    assert!(old.succeed(&job, "reports/1.json").await.expect("an end"));
    let done = world.wait_for_status(file, "succeeded").await;
    assert_eq!(done.storage_key_report.as_deref(), Some("reports/1.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn assay_takes_a_job_over_and_the_old_worker_writes_nothing_any_more() {
    let world = adopted().await;
    let file = enqueue(&world).await;
    let mut old = old(&world).await;
    let job = claimed(&mut old).await;
    let gate = Gate::new();
    world.model.push(Reply::json(&answer()).held(&gate));
    let _worker = worker(&short_leases(env(&world))).await;
    assert!(old.beat(&job).await.expect("a beat"), "its patience of 300 s is honoured");
    expire(&world, file).await;
    gate.reached().await;
    assert!(!old.beat(&job).await.expect("a beat"));
    assert!(!old.succeed(&job, "reports/1.json").await.expect("an end"));
    assert!(!old.retry(&job, 0.0).await.expect("a retry"));
    gate.release();
    let done = world.wait_for_status(file, "succeeded").await;
    assert!(done.storage_key_report.is_some_and(|key| key.contains("/runs/")));
    let token = world.job(file).await.lease_token;
    assert_eq!(outcomes(&world, file).await, [(token - 1, "lost".to_owned()), (token, "succeeded".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_left_assays_hands_has_the_other_programs_patience_again() {
    let world = adopted().await;
    let gate = Gate::new();
    let env =
        with(short_leases(env(&world)), &[("WORKER_CONCURRENCY", "1"), ("JOB_BACKOFF_MS", "600000,600000,600000")]);
    world.model.push(Reply::status(500, "{}"));
    let first = worker(&env).await;
    let retried = enqueue(&world).await;
    let waiting = world.wait_for_job(retried, |job| job.last_error_code.is_some() && job.status == "queued").await;
    assert_eq!(waiting.lock_ttl_seconds, 300);
    let (mut dead, killed) = holding(&world, &env, &gate).await;
    die(&mut dead).await;
    drop(first);
    // The other program puts back what has not beaten, as it does with its own.
    let requeue = "UPDATE processing_jobs SET status = 'queued', locked_by = NULL, locked_at = NULL, heartbeat_at = NULL WHERE file_id = $1 AND status = 'processing'";
    execute(&world, requeue, killed).await;
    assert_eq!(world.job(killed).await.lock_ttl_seconds, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_the_old_worker_runs_on_assay_and_the_other_way_round() {
    let world = adopted().await;
    let mut old = old(&world).await;
    let theirs = enqueue(&world).await;
    let job = claimed(&mut old).await;
    assert!(old.retry(&job, 0.0).await.expect("a retry"));
    assert_eq!(
        (world.file(theirs).await.status.as_str(), world.job(theirs).await.status.as_str()),
        ("queued", "queued")
    );
    let env = with(short_leases(env(&world)), &[("JOB_BACKOFF_MS", "600000,600000,600000")]);
    let mut assay = worker(&env).await;
    world.wait_for_status(theirs, "succeeded").await;
    world.model.push(Reply::status(500, "{}"));
    let ours = enqueue(&world).await;
    world.wait_for_job(ours, |job| job.last_error_code.is_some() && job.status == "queued").await;
    assay.signal(Signal::TERM);
    assay.wait().await;
    world.make_due(ours).await;
    let job = claimed(&mut old).await;
    assert_eq!(job.file_id, ours);
    assert!(old.succeed(&job, "reports/2.json").await.expect("an end"));
    assert_eq!(world.file(ours).await.status, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_the_old_worker_names_no_guest_of_assays() {
    let world = adopted().await;
    let mut assay = worker(&short_leases(env(&world))).await;
    let file = enqueue(&world).await;
    assert!(world.wait_for_status(file, "succeeded").await.guest_digest.is_some());
    assay.signal(Signal::TERM);
    assay.wait().await;
    execute(
        &world,
        "UPDATE processing_jobs SET status = 'queued', attempts = 0, next_run_at = now() WHERE file_id = $1",
        file,
    )
    .await;
    let mut old = old(&world).await;
    let job = claimed(&mut old).await;
    assert!(old.succeed(&job, "reports/3.json").await.expect("an end"));
    let row = world.file(file).await;
    assert_eq!((row.storage_key_report.as_deref(), row.guest_digest), (Some("reports/3.json"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_programs_roles_need_no_rights_on_assays_tables() {
    let world = adopted().await;
    let gate = Gate::new();
    let (mut dead, file) = holding(&world, &short_leases(env(&world)), &gate).await;
    die(&mut dead).await;
    expire(&world, file).await;
    let role = format!("old_{}", world.database.name());
    let grants = format!("CREATE ROLE {role}; GRANT SELECT, INSERT, UPDATE ON files, processing_jobs TO {role}");
    world.database.pool().execute(AssertSqlSafe(grants)).await.expect("a role");
    let url = world.database.url();
    let and = if url.contains('?') { '&' } else { '?' };
    let mut old = OldWorker::connect(&format!("{url}{and}options[role]={role}"), "old-1").await.expect("a connection");
    let job = claimed(&mut old).await;
    assert!(old.succeed(&job, "reports/4.json").await.expect("an end"));
    let mut producer = world.database.connect().await;
    producer.execute(AssertSqlSafe(format!("SET ROLE {role}"))).await.expect("the role");
    sqlx::query(SAY_QUEUED).bind(file).execute(&mut producer).await.expect("an update");
    assert_eq!(world.file(file).await.status, "succeeded");
    drop((old, producer));
    let sql = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    world.database.pool().execute(AssertSqlSafe(sql)).await.expect("the role goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_down_the_other_program_serves_alone() {
    let world = adopted().await;
    let gate = Gate::new();
    let (mut assay, running) = holding(&world, &short_leases(env(&world)), &gate).await;
    die(&mut assay).await;
    let waiting = enqueue(&world).await;
    let cancelled = enqueue(&world).await;
    execute(&world, "UPDATE processing_jobs SET cancel_requested_at = now() WHERE file_id = $1", cancelled).await;
    migrate(&world, &["--down"]).await;

    let status = async |file: Uuid| -> (String, String, i32, i32) {
        sqlx::query_as(
            "SELECT f.status, j.status, j.lock_ttl_seconds, j.attempts FROM files f JOIN processing_jobs j ON j.file_id = f.id WHERE f.id = $1",
        )
        .bind(file)
        .fetch_one(world.database.pool())
        .await
        .expect("rows")
    };
    let is = |one: &str, ttl, attempts| (one.to_owned(), one.to_owned(), ttl, attempts);
    assert_eq!(status(running).await, is("queued", 300, 0), "given back, as a stop does");
    assert_eq!(status(cancelled).await, is("failed", 300, 0));
    let mut old = old(&world).await;
    for _ in [running, waiting] {
        let job = claimed(&mut old).await;
        assert!(old.beat(&job).await.expect("a beat"));
        assert!(old.succeed(&job, "reports/5.json").await.expect("an end"));
    }
    assert_eq!(status(running).await.0, "succeeded");
    assert_eq!(status(waiting).await.0, "succeeded");
    assert_eq!(old.claim().await.expect("a claim"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_runs_at_a_down_touches_no_job() {
    let world = adopted().await;
    let gate = Gate::new();
    let env = with(short_leases(env(&world)), &[("WORKER_CONCURRENCY", "1")]);
    let (mut stalled, file) = holding(&world, &env, &gate).await;
    stalled.signal(Signal::STOP);
    let token = world.job(file).await.lease_token;
    migrate(&world, &["--to", "7"]).await;
    let given_back = world.job(file).await;
    assert_eq!((given_back.status.as_str(), given_back.lease_token), ("queued", token + 1));
    let mut old = old(&world).await;
    let job = claimed(&mut old).await;
    let waiting = enqueue(&world).await;
    stalled.signal(Signal::CONT);
    gate.release();
    // It has seen that the job is lost, has looked for others, and has ended.
    stalled.wait_for_line("lost").await;
    stalled.signal(Signal::TERM);
    stalled.wait().await;
    assert!(old.succeed(&job, "reports/6.json").await.expect("an end"), "it was not taken back");
    assert_eq!(world.job(waiting).await.status, "queued");
    migrate(&world, &[]).await;
    let _worker = worker(&env).await;
    world.wait_for_status(waiting, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_given_twice_not_even_after_a_down() {
    let world = adopted().await;
    let mut first = worker(&short_leases(env(&world))).await;
    let file = enqueue(&world).await;
    let report = world.wait_for_status(file, "succeeded").await.storage_key_report;
    let token = world.job(file).await.lease_token;
    first.signal(Signal::TERM);
    first.wait().await;
    migrate(&world, &["--down"]).await;
    migrate(&world, &[]).await;
    let _second = worker(&short_leases(env(&world))).await;
    let renew = "UPDATE processing_jobs SET status = 'queued', attempts = 0, next_run_at = now() WHERE file_id = $1";
    execute(&world, renew, file).await;
    world.wait_for_file(file, |row| row.status == "succeeded" && row.storage_key_report != report).await;
    assert!(world.job(file).await.lease_token > token);
    assert!(world.objects.get(&report.expect("a report")).await.is_some(), "it was not written over");
}
