//! One bad row never stops its neighbours: what a row may hold, and what happens to it alone.

mod changes;
mod claims;
mod lists;

use std::time::Duration;

use assay_core::serving::{ServedChannel, Serving};
use assay_db::{
    Database, DatabaseConfig,
    journal::{NewEntry, Recorded},
};
use assay_tests::{AssayProcess, Reply, World};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, answer, env, short_leases, worker};

fn database(world: &World) -> Database {
    Database::new(DatabaseConfig::from_url(&world.database.url().to_owned().into()).expect("a Postgres URL"))
}

/// Runs a statement of the test.
async fn run(world: &World, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(world.database.pool())
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs `assay …` and returns its exit code and what it wrote to standard output and standard error.
async fn assay(env: &Env, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut process = AssayProcess::spawn(arguments, env);
    let code = process.wait().await.code();
    (code, process.stdout().join("\n"), process.stderr().join("\n"))
}

async fn job_id(world: &World, file: Uuid) -> Uuid {
    let sql = "select id from processing_jobs where file_id = $1";
    sqlx::query_scalar(sql).bind(file).fetch_one(world.database.pool()).await.expect("a job")
}

/// Returns JSON that is nested `depth` deep.
fn nested(depth: usize) -> String {
    "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth)
}

/// Makes a job look as a worker leaves it that died a minute ago.
async fn abandon(world: &World, file: Uuid) {
    run(
        world,
        &format!(
            "update processing_jobs set status = 'processing', attempts = 1, lease_token = lease_token + 1,
                    locked_by = 'dead', locked_at = now() - interval '1 minute',
                    heartbeat_at = now() - interval '1 minute', lock_ttl_seconds = 30 where file_id = '{file}';
             update files set status = 'processing' where id = '{file}'"
        ),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_ends_alone_and_its_neighbours_run() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let odd = [
        ("attributes", format!("'{}'", nested(200))),
        ("attributes", "'{\"size\": 1e400}'".to_owned()),
        ("created_at", "'infinity'".to_owned()),
        ("created_at", "'20000-01-01'".to_owned()),
        ("created_at", "'0044-03-15 BC'".to_owned()),
    ];
    // Unusual, and no reason to refuse them.
    let fine = [
        ("attributes", format!("'{}'", nested(100))),
        ("attributes", "'{\"size\": 1e300, \"none\": null}'".to_owned()),
        ("created_at", "'1999-12-31 23:59:60'".to_owned()),
        ("created_at", "'9998-01-01'".to_owned()),
        ("original_filename", "''".to_owned()),
    ];
    let mut files = Vec::new();
    for (column, value) in odd.iter().chain(&fine) {
        let file = world.enqueue(TRANSCRIPT).await;
        run(&world, &format!("update files set {column} = {value} where id = '{file}'")).await;
        files.push(file);
    }
    let worker = worker(&env(&world)).await;
    let (bad, good) = files.split_at(odd.len());
    for file in good {
        world.wait_for_status(*file, "succeeded").await;
        assert_eq!(world.job(*file).await.attempts, 1);
    }
    for (file, (column, _)) in bad.iter().zip(&odd) {
        // The harness cannot read the row either.
        let ended = "select error_code || ': ' || error_message from files where id = $1 and status = 'failed'";
        let ended = async || {
            let found = sqlx::query_scalar::<_, String>(ended).bind(file).fetch_optional(world.database.pool()).await;
            found.expect("a row")
        };
        world.wait_until("the odd one ends", async || ended().await.is_some()).await;
        let message = ended().await.expect("a message");
        assert!(message.starts_with("row_unreadable: ") && message.contains(&format!("files.{column}")), "{message}");
        assert_eq!(world.job(*file).await.attempts, 1);
        let named = worker.wait_for_line(&file.to_string()).await;
        assert!(named.contains(column) && named.contains("row_unreadable"), "{named}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_database_refuses_to_claim_ends_alone() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let (mut files, refused) = (Vec::new(), world.enqueue(TRANSCRIPT).await);
    // A row that can neither be claimed nor ended.
    let stuck = world.enqueue(TRANSCRIPT).await;
    for _ in 0..5 {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    run(
        &world,
        &format!(
            "alter table processing_jobs add constraint of_another_program
                 check (file_id <> '{refused}' or status <> 'processing');
             alter table files add constraint of_yet_another check (id <> '{stuck}' or status = 'queued');
             update processing_jobs set priority = 5 where file_id in ('{refused}', '{stuck}')"
        ),
    )
    .await;
    let worker = worker(&env(&world)).await;
    for file in files {
        world.wait_for_status(file, "succeeded").await;
        assert_eq!(world.job(file).await.attempts, 1);
    }
    let row = world.wait_for_status(refused, "failed").await;
    assert_eq!(row.error_code.as_deref(), Some("row_unreadable"));
    let (refused, stuck) = (world.job(refused).await, world.job(stuck).await);
    assert!(worker.wait_for_line(&refused.id.to_string()).await.contains("23514"));
    assert!(worker.wait_for_line(&stuck.id.to_string()).await.contains("row_refused"));
    assert_eq!((stuck.status.as_str(), stuck.attempts), ("queued", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_every_claim_fails_no_file() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let files = [world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await];
    run(&world, "alter table processing_jobs add constraint of_another_program check (status <> 'processing')").await;
    let worker = worker(&env(&world)).await;
    for file in files {
        let job = world.job(file).await;
        assert!(worker.wait_for_line(&job.id.to_string()).await.contains("row_refused"));
    }
    run(&world, "alter table processing_jobs drop constraint of_another_program").await;
    for file in files {
        world.wait_for_status(file, "succeeded").await;
        assert_eq!(world.job(file).await.attempts, 1);
    }
    let named = worker.stderr().into_iter().filter(|line| line.contains("row_refused")).count();
    assert_eq!(named, 2, "each is named once, and not at every look");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_taken_back_keeps_no_other_dead_job() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let mut files = Vec::new();
    for _ in 0..5 {
        let file = world.enqueue(TRANSCRIPT).await;
        abandon(&world, file).await;
        files.push(file);
    }
    let [far, counted, twice, stuck, plain] = files[..] else { unreachable!("five") };
    let job = async |file| world.job(file).await.id;
    let (counted_job, twice_job, stuck_job) = (job(counted).await, job(twice).await, job(stuck).await);
    run(
        &world,
        &format!(
            "update processing_jobs set heartbeat_at = '294276-12-31 23:59:59+00' where file_id = '{far}';
             alter table job_answers drop constraint job_answers_tokens_are_plausible;
             insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model, finish_reason,
                                      tokens_in, tokens_out)
             select '{counted_job}', 1, o, 1, '', 'k', '', 'm', 'stop', 9223372036854775807, 9223372036854775807
               from generate_series(0, 1) o;
             delete from job_answers where ordinal = 1 and job_id <> '{counted_job}';
             insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, outcome)
             values ('{twice_job}', 1, 1, 1, 'other', now(), 'lost');
             alter table processing_jobs add constraint of_another_program
                 check (file_id <> '{stuck}' or status = 'processing') not valid"
        ),
    )
    .await;
    // Answers that no object holds would end the job; this is about the sum alone.
    run(&world, "update job_answers set life = 9").await;
    let worker = worker(&short_leases(env(&world))).await;
    for file in [far, counted, twice, plain] {
        world.wait_for_status(file, "succeeded").await;
    }
    let named = worker.wait_for_line(&stuck_job.to_string()).await;
    assert!(named.contains("row_refused") && named.contains("23514"), "{named}");
    assert_eq!(world.job(stuck).await.status, "processing");
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_counts_that_no_provider_means_are_shown() {
    let world = World::start().await;
    let file = world.enqueue(TRANSCRIPT).await;
    abandon(&world, file).await;
    let job = world.job(file).await.id;
    let digest = "a".repeat(64);
    run(
        &world,
        &format!(
            "insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, outcome, tokens_in, tokens_out,
                                       guest_micros, guest_digest)
             select '{job}', token, 1, 1, 'w', now(), 'succeeded', 9223372036854775807, 9223372036854775807,
                    9223372036854775807, '{digest}' from generate_series(1, 3) token"
        ),
    )
    .await;
    let stats = database(&world).release_stats(&digest, None, None).await.expect("statistics");
    assert_eq!((stats.tokens_in, stats.tokens_out, stats.guest_micros), (i64::MAX, i64::MAX, i64::MAX));
    let lost = database(&world).reap_expired(&[]).await.expect("a round of the reaper");
    assert_eq!(lost.reaped.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_no_provider_means_is_unknown_and_said_once() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()).usage(u64::MAX, 5));
    let worker = worker(&env(&world)).await;
    for _ in 0..2 {
        let file = world.enqueue(TRANSCRIPT).await;
        world.wait_for_status(file, "succeeded").await;
        let attempt = &world.attempts(file).await[0];
        assert_eq!((attempt.tokens_in, attempt.tokens_out), (0, 0));
    }
    let known: i64 = sqlx::query_scalar("select count(*) from job_answers where tokens_in is not null")
        .fetch_one(world.database.pool())
        .await
        .expect("a count");
    assert_eq!(known, 0);
    let said = worker.stderr().into_iter().filter(|line| line.contains("more than a billion tokens")).count();
    assert_eq!(said, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_counts_that_nobody_means_are_refused_at_the_door() {
    let world = World::start().await;
    for (at, is_accepted) in [
        ("20000-01-01", false),
        ("9999-01-01", false),
        ("infinity", false),
        ("-infinity", false),
        ("0044-03-15 BC", false),
        ("1969-12-31", false),
        ("9998-12-31", true),
        ("2026-03-04", true),
        ("1970-01-02", true),
    ] {
        let file = world.upload("txt", TRANSCRIPT).await;
        let enqueued = sqlx::query("select assay_enqueue($1, run_at => $2::text::timestamptz)").bind(file).bind(at);
        let enqueued = enqueued.execute(world.database.pool()).await;
        assert_eq!(enqueued.is_ok(), is_accepted, "{at}: {enqueued:?}");
    }
    let file = world.enqueue(TRANSCRIPT).await;
    let job = world.job(file).await.id;
    for (tokens, is_accepted) in
        [("1000000001", false), ("-1", false), ("1000000000", true), ("0", true), ("null", true)]
    {
        let sql = format!(
            "insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model, finish_reason,
                                      tokens_in)
             select '{job}', 1, count(*), 1, '', 'k', '', 'm', 'stop', {tokens} from job_answers"
        );
        let inserted = sqlx::raw_sql(AssertSqlSafe(sql)).execute(world.database.pool()).await;
        assert_eq!(inserted.is_ok(), is_accepted, "{tokens}: {inserted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_began_before_an_answer_was_journaled_buys_none_again() {
    let world = World::start().await;
    let database = database(&world);
    let file = world.enqueue(TRANSCRIPT).await;
    // The early claim waits, with its snapshot, where it looks at the side of the canary that the file is on.
    run(
        &world,
        "create schema early;
             create function early.md5(file text) returns text language plpgsql as $$
             begin
                 perform pg_advisory_xact_lock(4711);
                 return pg_catalog.md5(file);
             end $$",
    )
    .await;
    let mut gate = world.database.pool().begin().await.expect("a transaction");
    sqlx::query("select pg_advisory_xact_lock(4711)").execute(&mut *gate).await.expect("the lock");
    let canary = ServedChannel {
        name: "default".to_owned(),
        active: Some("d".to_owned()),
        version: None,
        canary: Some(("d".to_owned(), 50)),
    };
    let serving = Serving { channels: vec![canary], digests: vec!["d".to_owned()], ..Serving::default() };
    let claim = async || database.claim("w", &serving, 2, Duration::from_secs(30), None).await.expect("a claim");
    let early = tokio::spawn({
        let separator = if world.database.url().contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}options[search_path]=early,pg_catalog,public", world.database.url());
        let database = Database::new(DatabaseConfig::from_url(&url.into()).expect("a Postgres URL"));
        let serving = serving.clone();
        async move { database.claim("early", &serving, 2, Duration::from_secs(30), None).await.expect("a claim") }
    });
    world
        .wait_until("the early claim waits", async || {
            let waiting = "select exists (select from pg_locks where locktype = 'advisory' and not granted)";
            sqlx::query_scalar(waiting).fetch_one(world.database.pool()).await.expect("locks")
        })
        .await;
    let late = claim().await.claims.remove(0);
    assert_eq!(late.file.id.0, file);
    let entry = NewEntry {
        ordinal: 0,
        prompt_sha256: &[1],
        key: "k",
        sha256: &[2],
        model: "m",
        finish_reason: "stop",
        tokens: None,
    };
    assert_eq!(database.record_answer(late.lease, &entry).await.expect("a row"), Recorded::Written);
    run(
        &world,
        &format!(
            "update processing_jobs set status = 'queued', locked_by = null, locked_at = null, heartbeat_at = null,
                    next_run_at = now() - interval '1 hour' where file_id = '{file}'"
        ),
    )
    .await;
    assert_eq!(database.record_answer(late.lease, &entry).await.expect("an answer"), Recorded::Lost);
    gate.commit().await.expect("the end of the wait");
    let early = early.await.expect("no panic");
    assert!(early.is_empty(), "the job has changed since the claim began: {early:?}");
    let again = claim().await.claims.remove(0);
    assert_eq!(again.file.id.0, file);
    assert_eq!(again.journal.len(), 1, "the answer that was journaled after the early claim had begun");
    assert_eq!(
        database.record_answer(again.lease, &entry).await.expect("an answer"),
        Recorded::AnsweredBefore,
        "the claim is ours, and another answer is there"
    );
}
