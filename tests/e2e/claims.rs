//! Claims that begin at a place in the queue.

use std::{collections::BTreeSet, time::Duration};

use assay_core::{
    claim::QueuePosition,
    ids::JobId,
    serving::{ServedChannel, Serving},
};
use assay_db::{Database, DatabaseConfig};
use assay_tests::{Delay, Fate, Proxy, Reply, World, claim_reads::explain_claim};
use uuid::Uuid;

use crate::fixtures::{TRANSCRIPT, answer, env, with, worker};

/// Returns files of the jobs that a claim takes, and the place of the first one.
async fn claimed(database: &Database, from: Option<QueuePosition>) -> (BTreeSet<Uuid>, Option<QueuePosition>) {
    let serving = Serving { default: Some("d".to_owned()), digests: vec!["d".to_owned()], ..Serving::default() };
    let claims = database.claim("w", &serving, 2, Duration::from_secs(30), from).await.expect("a claim").claims;
    let first = claims.iter().map(|claim| claim.position).min();
    (claims.iter().map(|claim| claim.file.id.0).collect(), first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_from_a_place_leaves_the_rest_to_the_next_whole_one() {
    let world = World::start().await;
    let url = world.database.url().to_owned().into();
    let database = Database::new(DatabaseConfig::from_url(&url).expect("a URL"));
    let mut files = Vec::new();
    // The first is urgent, and due last of all.
    for (priority, minutes) in [(5, 1), (0, 9), (0, 8), (0, 7), (0, 6)] {
        let file = world.enqueue(TRANSCRIPT).await;
        let sql = "update processing_jobs set priority = $2, next_run_at = now() - $3 * interval '1 minute'
                    where file_id = $1";
        sqlx::query(sql).bind(file).bind(priority).bind(minutes).execute(world.database.pool()).await.expect("a place");
        files.push(file);
    }
    let put_back = async |file: Uuid| {
        let sql =
            "update processing_jobs set status = 'queued', locked_by = null, locked_at = null, heartbeat_at = null
                    where file_id = $1";
        sqlx::query(sql).bind(file).execute(world.database.pool()).await.expect("a job put back");
    };
    let some = |files: &[Uuid]| files.iter().copied().collect::<BTreeSet<_>>();
    let (taken, first) = claimed(&database, None).await;
    assert_eq!(taken, some(&files[..2]), "the urgent one, and then the one that has waited longest");
    for file in taken {
        put_back(file).await;
    }
    // The urgent one is behind that place, too: it was due later.
    let second = first.expect("a place");
    let (taken, first) = claimed(&database, Some(second)).await;
    assert_eq!((taken, first), (some(&files[..2]), Some(second)));
    let (taken, third) = claimed(&database, Some(second)).await;
    assert_eq!(taken, some(&files[2..4]));
    put_back(files[1]).await;
    let (taken, last) = claimed(&database, third).await;
    assert_eq!(taken, some(&files[4..]), "not what is due before that place");
    assert!(third < last);
    assert_eq!(claimed(&database, None).await.0, some(&files[1..2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_poll_of_an_idle_worker_looks_at_what_is_due_before_the_front_too() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let proxy = Proxy::before(world.database.url()).await;
    let due = async |file: Uuid, minutes: i32| {
        let sql = "update processing_jobs set next_run_at = now() + $2 * interval '1 minute' where file_id = $1";
        sqlx::query(sql).bind(file).bind(minutes).execute(world.database.pool()).await.expect("another time");
    };
    let mut files = Vec::new();
    for _ in 0..12 {
        let file = world.enqueue(TRANSCRIPT).await;
        due(file, 60).await;
        files.push(file);
    }
    let env =
        with(env(&world), &[("DATABASE_URL", &*proxy.url_of(world.database.url())), ("WORKER_CONCURRENCY", "20")]);
    let _worker = worker(&env).await;
    // Each is due before those that were found so far, and no notification is sent. Polls are jittered: a worker that relied on time alone would
    // see some of them.
    for (file, minutes) in files.iter().zip(0..) {
        let look = proxy.hold_statement("coalesce($15, '-infinity'");
        look.reached().await;
        due(*file, -minutes).await;
        look.forward().await;
        assert_ne!(world.job(*file).await.status, "queued", "{minutes} minutes before the front");
    }
    for file in files {
        world.wait_for_status(file, "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_have_ended_are_walked_past_once_and_not_at_all_from_a_place() {
    const ENDED: f64 = 1000.0;
    let world = World::start().await;
    let pool = world.database.pool();
    let jobs = "with file as (
                    insert into files (user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes, status)
                    select gen_random_uuid(), 'b', $1 || number, 'txt', 'text/plain', 1, 'queued'
                      from generate_series(1, $2::bigint) as number
                    returning id
                )
                insert into processing_jobs (file_id, next_run_at) select id, now() - $3 * interval '1 hour' from file";
    let enqueue = async |name: &str, count: f64, hours: f64| {
        let query = sqlx::query(jobs).bind(name).bind(count as i64).bind(hours);
        query.execute(pool).await.expect("jobs");
    };
    enqueue("ends/", ENDED, 2.0).await;
    // While it lasts, no vacuum takes the index entries of what ends meanwhile.
    let mut holder = pool.begin().await.expect("a transaction");
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *holder).await.expect("a snapshot");
    sqlx::query("select count(*) from files").execute(&mut *holder).await.expect("a look");
    sqlx::query("update processing_jobs set status = 'succeeded'").execute(pool).await.expect("their end");
    enqueue("due/", 10.0, 1.0).await;
    sqlx::query("analyze").execute(pool).await.expect("statistics");

    let first =
        "select next_run_at as due, id from processing_jobs where status = 'queued' order by next_run_at, id limit 1";
    let (due, job) = sqlx::query_as(first).fetch_one(pool).await.expect("the first one");
    let place = QueuePosition { due, job: JobId(job) };
    let pages = async |from| {
        let mut transaction = pool.begin().await.expect("a transaction");
        let plan = explain_claim(&mut transaction, 5, from, None).await.expect("a claim");
        assert_eq!(plan.rows, 5);
        plan.buffers
    };
    // Each job costs some pages: those of its row, of its file, and of their indexes.
    let of_jobs = pages(Some(place)).await;
    assert!(of_jobs < ENDED / 2.0, "{of_jobs} pages from a place behind {ENDED} ended jobs");
    let of_all = pages(None).await;
    assert!(
        of_all < of_jobs + 1.5 * ENDED,
        "{of_all} pages past {ENDED} ended jobs, {of_jobs} of them of the due ones"
    );
}

/// Due jobs before all others that cannot run: more than a claim reads.
async fn backlog(world: &World) {
    let sql = "with file as (
                   insert into files (user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes, status)
                   select gen_random_uuid(), 'b', 'waits/' || number, 'txt', 'text/plain', 1, 'queued'
                     from generate_series(1, 80) as number
                   returning id
               )
               insert into processing_jobs (file_id, channel, prompt_version, guest_digest, next_run_at)
               select id, case when n % 4 = 0 then 'paused' when n % 4 = 1 then 'waiting' else 'default' end,
                      case when n % 4 = 2 then 'waits-v1' end, case when n % 4 = 3 then 'waits' end, now() - interval '1 day'
                 from (select id, row_number() over () as n from file) as numbered";
    sqlx::query(sql).execute(world.database.pool()).await.expect("a backlog");
    let sql = "insert into queue_pauses (channel, actor) values ('paused', 'test')";
    sqlx::query(sql).execute(world.database.pool()).await.expect("a pause");
}

/// Returns a worker's view in which `yes`, `active` and `canary` can be called, and `waits` cannot.
fn serving() -> Serving {
    let channel = |name: &str, active: &str, canary: Option<&str>| ServedChannel {
        name: name.to_owned(),
        active: Some(active.to_owned()),
        version: Some("channel-v1".to_owned()),
        canary: canary.map(|digest| (digest.to_owned(), 50)),
    };
    Serving {
        versions: [("served-v1", "yes"), ("waits-v1", "waits"), ("channel-v1", "yes")].map(owned).into(),
        default: Some("yes".to_owned()),
        channels: vec![
            channel("both", "active", Some("canary")),
            channel("half", "active", Some("waits")),
            channel("other-half", "waits", Some("canary")),
            channel("waiting", "waits", None),
        ],
        digests: ["yes", "active", "canary"].map(str::to_owned).into(),
    }
}

fn owned((version, digest): (&str, &str)) -> (String, String) {
    (version.to_owned(), digest.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_behind_a_backlog_are_those_that_are_claimed_without_it() {
    let world = World::start().await;
    let database = Database::new(DatabaseConfig::from_url(&world.database.url().to_owned().into()).expect("a URL"));
    // Each channel with each pin, twice: a file is on one side of the canary.
    let sql = "with kind as (
                   select channel, version, digest, twin, row_number() over () as n
                     from unnest(array['default', 'both', 'half', 'other-half', 'waiting', 'paused']) as channel,
                          unnest(array[null, 'served-v1', 'waits-v1', 'channel-v1', 'unknown-v1']) as version,
                          unnest(array[null, 'yes', 'waits', 'served-v1']) as digest, generate_series(1, 2) as twin
               ), file as (
                   insert into files (user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes, status)
                   select gen_random_uuid(), 'b', n::text, 'txt', 'text/plain', 1, 'queued' from kind
                   returning id, storage_key_original::bigint as n
               )
               insert into processing_jobs (file_id, channel, prompt_version, guest_digest, priority, next_run_at, cancel_requested_at)
               select id, channel, version, digest, -(n % 3), now() - n * interval '1 second',
                      case when n % 20 = 0 then now() end
                 from kind join file using (n)";
    sqlx::query(sql).execute(world.database.pool()).await.expect("jobs of every kind");
    let pause = "insert into queue_pauses (channel, actor) values ('paused', 'test')";
    sqlx::query(pause).execute(world.database.pool()).await.expect("a pause");
    let lease = Duration::from_secs(30);
    let pins = "select id, guest_digest from processing_jobs";
    let pins: Vec<(Uuid, Option<String>)> = sqlx::query_as(pins).fetch_all(world.database.pool()).await.expect("pins");

    let together = database.claim("w", &serving(), 500, lease, None).await.expect("a claim");
    assert!(!together.past_backlog && (50..200).contains(&together.claims.len()), "{}", together.claims.len());
    let mut expected: Vec<_> =
        together.claims.iter().map(|claim| (claim.lease.job.0, claim.guest_digest.clone())).collect();
    expected.sort();
    let put_back = "update processing_jobs j
                       set status = 'queued', locked_by = null, locked_at = null, heartbeat_at = null, guest_digest = before.digest
                      from unnest($1::uuid[], $2::text[]) as before (id, digest) where before.id = j.id";
    let (ids, digests): (Vec<_>, Vec<_>) = pins.into_iter().unzip();
    sqlx::query(put_back).bind(ids).bind(digests).execute(world.database.pool()).await.expect("all put back");
    sqlx::query("delete from queue_pauses").execute(world.database.pool()).await.expect("no pause");
    // They are urgent, so that the backlog is always in front.
    backlog(&world).await;
    sqlx::query("update processing_jobs set priority = 9 where next_run_at < now() - interval '1 hour'")
        .execute(world.database.pool())
        .await
        .expect("an urgent backlog");

    let mut found = Vec::new();
    loop {
        let batch = database.claim("w", &serving(), 3, lease, None).await.expect("a claim");
        assert!(batch.past_backlog);
        if batch.is_empty() {
            break;
        }
        found.extend(batch.claims.iter().map(|claim| (claim.lease.job.0, claim.guest_digest.clone())));
    }
    let order =
        "select j.id from processing_jobs j where j.id = any ($1) order by j.priority desc, j.next_run_at, j.id";
    let ids: Vec<Uuid> = found.iter().map(|(id, _)| *id).collect();
    let in_order: Vec<Uuid> =
        sqlx::query_scalar(order).bind(&ids).fetch_all(world.database.pool()).await.expect("an order");
    let by_three = |ids: &[Uuid]| ids.chunks(3).map(|ids| ids.iter().copied().collect()).collect::<Vec<BTreeSet<_>>>();
    assert_eq!(by_three(&ids), by_three(&in_order), "the urgent ones first, then those that are due first");
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_goes_past_a_backlog_and_past_jobs_that_others_lock() {
    let world = World::start().await;
    let database = Database::new(DatabaseConfig::from_url(&world.database.url().to_owned().into()).expect("a URL"));
    backlog(&world).await;
    let mut files = Vec::new();
    for _ in 0..40 {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    let mut other = world.database.pool().begin().await.expect("a transaction");
    let lock = "select from processing_jobs where file_id = any ($1) for update";
    sqlx::query(lock).bind(&files[..39]).execute(&mut *other).await.expect("locks");
    let claim = async || database.claim("w", &serving(), 2, Duration::from_secs(30), None).await.expect("a claim");
    let batch = claim().await;
    assert_eq!(batch.claims.iter().map(|claim| claim.file.id.0).collect::<Vec<_>>(), files[39..]);
    assert!(claim().await.is_empty());
    other.rollback().await.expect("an end");
    assert_eq!(claim().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_claim_makes_its_session_plan_anew() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let proxy = Proxy::before(world.database.url()).await;
    let slow = Delay { by: Duration::from_millis(150), client: Fate::Answered };
    proxy.delay_statements("coalesce($15, '-infinity'", move || Some(slow));
    let plans = proxy.hold_statement("discard plans");
    let _worker = worker(&with(env(&world), &[("DATABASE_URL", &*proxy.url_of(world.database.url()))])).await;
    plans.reached().await;
    plans.forward().await;
    let file = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(file, "succeeded").await;
}
