//! Rows that another transaction holds: what waits for them, for how long, and what is true when an answer was lost meanwhile.

use std::{collections::BTreeSet, time::Duration};

use assay_core::env::Variables;
use assay_db::{Database, DatabaseConfig, queue::Rescue};
use assay_runtime::{Compiler, Digest, testing::WatGuest};
use assay_tests::{AssayProcess, Gate, Proxy, Reply, Signal, World, binary};
use assay_worker::guests::{Guests, GuestsConfig};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, answer, env, env_with_guests, outcomes, short_leases, with, worker};

/// Returns the database as the host sees it.
fn database(world: &World) -> Database {
    Database::new(DatabaseConfig::from_url(&world.database.url().to_owned().into()).expect("a Postgres URL"))
}

/// Returns a foreign transaction that holds one row, as an application does that edits it.
async fn holding(world: &World, row: &'static str, file: Uuid) -> Transaction<'static, Postgres> {
    let mut foreign = world.database.pool().begin().await.expect("a transaction");
    sqlx::query(row).bind(file).execute(&mut *foreign).await.expect("a lock");
    foreign
}

const FILE: &str = "SELECT FROM files WHERE id = $1 FOR UPDATE";
const JOB: &str = "SELECT FROM processing_jobs WHERE file_id = $1 FOR UPDATE";

/// A statement about the rows of a test, with the file's id as its only parameter.
async fn change(world: &World, sql: &'static str, file: Uuid) {
    sqlx::query(sql).bind(file).execute(world.database.pool()).await.expect("a change");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_delays_the_claim_of_no_other_job() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let (held, free) = (world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await);
    let foreign = holding(&world, FILE, held).await;
    let worker = worker(&env(&world)).await;
    world.wait_for_status(free, "succeeded").await;
    let failed = worker.stderr().into_iter().find(|line| line.contains("claim failed"));
    assert_eq!(failed, None, "no claim has waited until it was given up");
    assert_eq!(world.job(held).await.lease_token, 0, "it waits, and has used no attempt");
    foreign.rollback().await.expect("the end of the transaction");
    world.wait_for_status(held, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_delays_the_rescue_of_no_other_job() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let env = short_leases(env(&world));
    let mut first = worker(&env).await;
    let (held, free) = (world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await);
    world.model.wait_for_calls(2).await;
    first.signal(Signal::KILL);
    first.wait().await;

    let foreign = holding(&world, FILE, held).await;
    gate.release();
    let _second = worker(&env).await;
    world.wait_for_status(free, "succeeded").await;
    let job = world.job(held).await;
    assert_eq!((job.status.as_str(), job.lease_token), ("processing", 1), "it waits for its turn");
    foreign.rollback().await.expect("the end of the transaction");
    world.wait_for_status(held, "succeeded").await;
    assert_eq!(outcomes(&world, held).await, [(1, "lost".to_owned()), (2, "succeeded".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_that_waits_too_long_is_rolled_back_and_written_again() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let worker = worker(&with(env(&world), &[("DATABASE_TIMEOUT_MS", "1000")])).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    let foreign = holding(&world, FILE, id).await;
    gate.release();
    worker.wait_for_line("SQLSTATE 57014").await;
    foreign.rollback().await.expect("the end of the transaction");
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(outcomes(&world, id).await, [(1, "succeeded".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_waits_longer_than_a_statement_of_the_worker() {
    const WAITING: &str = "
        SELECT EXISTS (SELECT FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'
                          AND clock_timestamp() - query_start > interval '500 ms')";
    let world = World::start().await;
    let mut foreign = world.database.pool().begin().await.expect("a transaction");
    sqlx::query("SELECT FROM files").execute(&mut *foreign).await.expect("a lock");
    let env = [("DATABASE_URL", world.database.url()), ("DATABASE_TIMEOUT_MS", "300")];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut migrating = AssayProcess::spawn(&["migrate", "--down"], &env);
    let waits = async || sqlx::query_scalar(WAITING).fetch_one(world.database.pool()).await.expect("who waits");
    world.wait_until("a migration that waits for longer than 300 ms", waits).await;
    foreign.rollback().await.expect("the end of the transaction");
    assert!(migrating.wait().await.success(), "{:?}", migrating.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beat_gives_its_locks_back_before_the_next_one_is_due() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let worker = worker(&short_leases(env(&world))).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    let foreign = holding(&world, JOB, id).await;
    worker.wait_for_line("SQLSTATE 55P03").await;
    foreign.rollback().await.expect("the end of the transaction");
    gate.release();
    world.wait_for_status(id, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_server_says_nothing_gives_up() {
    let world = World::start().await;
    let proxy = Proxy::before(world.database.url()).await;
    let listen = proxy.hold_statement("listen \"assay_jobs\"");
    let url = proxy.url_of(world.database.url());
    let worker = worker(&with(env(&world), &[("DATABASE_URL", &url), ("DATABASE_TIMEOUT_MS", "500")])).await;
    listen.reached().await;
    worker.wait_for_line("job notifications interrupted").await;
}

const SETTLE: &str = "then f.storage_key_raw_llm_output else";
const LOCKING_READ: &str = "from processing_jobs where id = $1 for update";

/// Returns a worker with one slot behind the proxy: while it settles a job it cannot claim that job again.
fn behind(proxy: &Proxy, world: &World) -> Env {
    let url = proxy.url_of(world.database.url());
    with(env(world), &[("DATABASE_URL", &url), ("WORKER_CONCURRENCY", "1"), ("DATABASE_TIMEOUT_MS", "60000")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_reaper_took_back_is_not_taken_for_settled() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let proxy = Proxy::before(world.database.url()).await;
    let (settling, looking) = (proxy.hold_statement(SETTLE), proxy.hold_statement(LOCKING_READ));
    let worker = worker(&behind(&proxy, &world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    settling.reached().await;
    settling.cut_client().await;
    looking.reached().await;

    // It was not claimed since: the token is still the one that settles.
    let silent =
        "UPDATE processing_jobs SET locked_at = now() - interval '1 hour', heartbeat_at = now() - interval '1 hour'
                   WHERE file_id = $1";
    change(&world, silent, id).await;
    database(&world).reap_expired(&[]).await.expect("a round of the reaper");
    let job = world.wait_for_job(id, |job| job.status == "queued").await;
    assert_eq!(job.lease_token, 1);
    settling.forward().await;
    looking.forward().await;
    worker.wait_for_line("its claim is lost").await;

    world.wait_for_status(id, "succeeded").await;
    assert_eq!(outcomes(&world, id).await, [(1, "lost".to_owned()), (2, "succeeded".to_owned())]);
    let kept = world.objects.list("").iter().filter(|key| key.ends_with("report.json")).count();
    assert_eq!(kept, 2, "nothing was deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_finds_its_first_try_committed_is_a_success() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let proxy = Proxy::before(world.database.url()).await;
    let (first, retry) = (proxy.hold_statement(SETTLE), proxy.hold_statement(SETTLE));
    let mut worker = worker(&behind(&proxy, &world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    first.reached().await;
    first.cut_client().await;
    // The look between the two finds the claim unsettled; only then does the first statement reach the server.
    retry.reached().await;
    first.forward().await;
    world.wait_for_status(id, "succeeded").await;
    retry.forward().await;
    worker.wait_for_line("job settled").await;
    worker.signal(Signal::TERM);
    assert!(worker.wait().await.success());
    assert!(!worker.stderr().iter().any(|line| line.contains("its claim is lost")));
    assert_eq!(outcomes(&world, id).await, [(1, "succeeded".to_owned())]);
}

/// Returns a file that an earlier life has left its results on, with a job.
async fn with_an_earlier_life(world: &World, version: Option<&str>) -> Uuid {
    let id = world.row("txt", 10).await;
    world.enqueue_file(id, version).await;
    let left = "UPDATE files SET storage_key_report = 'r', storage_key_raw_llm_output = 'o', prompt_version = 'v',
                                 schema_version = 's', guest_digest = 'd' WHERE id = $1";
    change(world, left, id).await;
    id
}

/// Report, raw output and versions, as the file's row names them.
async fn results(world: &World, id: Uuid) -> [Option<String>; 5] {
    let file = world.file(id).await;
    [
        file.storage_key_report,
        file.storage_key_raw_llm_output,
        file.prompt_version,
        file.schema_version,
        file.guest_digest,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_attempt_counts_tokens_and_its_file_keeps_its_report() {
    let world = World::start().await;
    let (spent, fresh) = (with_an_earlier_life(&world, None).await, with_an_earlier_life(&world, None).await);
    for id in [spent, fresh] {
        let claim = "UPDATE processing_jobs
                        SET status = 'processing', attempts = 2, lease_token = 3, locked_by = 'gone',
                            locked_at = now() - interval '1 hour', heartbeat_at = now() - interval '1 hour' WHERE file_id = $1";
        change(&world, claim, id).await;
        // The second is of an earlier claim; of the third the provider has counted nothing.
        let answers = "INSERT INTO job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model,
                                                finish_reason, tokens_in, tokens_out)
                       SELECT id, 1, ordinal, token, '', '', '', '', '', tokens_in, tokens_out FROM processing_jobs,
                              (VALUES (0, 3, 7, 5), (1, 2, 100, 100), (2, 3, null, null), (3, 3, 10, 20))
                              AS a (ordinal, token, tokens_in, tokens_out)
                        WHERE file_id = $1";
        change(&world, answers, id).await;
    }
    change(&world, "UPDATE processing_jobs SET max_attempts = 2 WHERE file_id = $1", spent).await;
    let rescues = database(&world).reap_expired(&[]).await.expect("a round of the reaper").reaped;
    assert_eq!(rescues.len(), 2);

    for id in [spent, fresh] {
        let lost = &world.attempts(id).await[0];
        assert_eq!((lost.outcome.as_str(), lost.tokens_in, lost.tokens_out), ("lost", 17, 25));
    }
    assert_eq!(world.file(spent).await.status, "failed");
    assert_eq!(
        results(&world, spent).await,
        [Some("r"), None, Some("v"), Some("s"), Some("d")].map(|text| text.map(str::to_owned))
    );
    assert_eq!(world.file(fresh).await.status, "queued");
    assert_eq!(results(&world, fresh).await, ["r", "o", "v", "s", "d"].map(|text| Some(text.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_workers_only_keep_for_pinned_jobs_is_not_known() {
    let patience = Duration::from_secs(60);
    let world = World::start().await;
    let (held, id) =
        (with_an_earlier_life(&world, Some("old-v1")).await, with_an_earlier_life(&world, Some("old-v1")).await);
    for id in [held, id] {
        let waits = "UPDATE processing_jobs SET next_run_at = now() - interval '1 hour',
                                                updated_at = now() - interval '1 hour' WHERE file_id = $1";
        change(&world, waits, id).await;
    }
    let announce = async |kept: bool| {
        let announce = "INSERT INTO workers (id, version, slots, releases)
                        VALUES ('w', '1', 1, jsonb_build_array(jsonb_build_object('prompt_version', 'old-v1', 'kept', $1)))
                        ON CONFLICT (id) DO UPDATE SET releases = excluded.releases";
        sqlx::query(announce).bind(kept).execute(world.database.pool()).await.expect("a worker");
    };
    announce(false).await;
    let reaped = database(&world).fail_unknown_versions(patience, &[]).await.expect("a round of the reaper").reaped;
    assert!(reaped.is_empty(), "a worker serves it");

    announce(true).await;
    let foreign = holding(&world, FILE, held).await;
    let reaped = database(&world).fail_unknown_versions(patience, &[]).await.expect("a round of the reaper").reaped;
    assert_eq!(
        reaped.iter().map(|reaped| (reaped.file.0, reaped.rescue)).collect::<Vec<_>>(),
        [(id, Rescue::VersionUnknown)]
    );
    assert_eq!(world.file(id).await.error_code.as_deref(), Some("version_not_available"));
    let kept = [Some("r"), None, Some("v"), Some("s"), Some("d")].map(|text| text.map(str::to_owned));
    assert_eq!(results(&world, id).await, kept, "the report of an earlier life");
    assert_eq!(world.job(held).await.status, "queued", "its file is locked");
    foreign.rollback().await.expect("the end of the transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_was_kept_for_jobs_is_dropped_when_none_has_pinned_it() {
    let world = World::start().await;
    let config = GuestsConfig::load(&mut Variables::from_map(env_with_guests(&world, &[WatGuest::new("good")])));
    let compiler = Compiler::Child { program: binary(), args: vec!["compile-guest".into()] };
    let guests = Guests::open(&config, compiler).await.expect("guests that load");
    let served = guests.loaded();
    let old = WatGuest::new("good").document("{\"second\":true}").build();
    let digest = Digest::of(&old).to_string();
    guests.keep(&old).await.expect("a guest that loads");

    guests.keep_only(std::slice::from_ref(&digest), &BTreeSet::new(), Duration::ZERO);
    assert!(guests.release(&digest).is_some_and(|release| release.digest() == digest));
    guests.keep_only(&[], &BTreeSet::new(), Duration::from_secs(60));
    assert!(guests.release(&digest).is_some(), "a claim under way may have pinned it");
    guests.keep_only(&[], &BTreeSet::new(), Duration::ZERO);
    assert!(guests.release(&digest).is_none());
    assert_eq!(guests.loaded(), served);

    assert!(guests.keep_cached(Digest::of(&old)).await.expect("a cache that can be read"), "its image is still there");
    assert!(guests.release(&digest).is_some());
    assert!(!guests.keep_cached(Digest::of(b"another")).await.expect("a cache that can be read"));
}
