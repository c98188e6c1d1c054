//! Claims that begin at a place in the queue.

use std::{collections::BTreeSet, time::Duration};

use assay_core::{claim::QueuePosition, serving::Serving};
use assay_db::{Database, DatabaseConfig};
use assay_tests::{Proxy, Reply, World};
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
