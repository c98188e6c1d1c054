//! How long answers and history are kept.

use assay_tests::{Fault, Gate, Operation, Reply};

use crate::fixtures::{TRANSCRIPT, answer, env, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_success_go_where_only_failures_are_to_be_kept() {
    let world = assay_tests::World::start().await;
    world.model.push(Reply::answer("no JSON"));
    world.model.always(Reply::json(&answer()));
    let _worker = worker(&with(env(&world), &[("RETAIN_ANSWERS", "on_failure"), ("RETENTION_EVERY_MS", "50")])).await;
    let failed = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(failed, "failed").await;
    let succeeded = world.enqueue(TRANSCRIPT).await;
    let report = world.wait_for_status(succeeded, "succeeded").await.storage_key_report.expect("a report");
    let kept = async || -> Vec<uuid::Uuid> {
        sqlx::query_scalar("select j.file_id from job_answers a join processing_jobs j on j.id = a.job_id")
            .fetch_all(world.database.pool())
            .await
            .expect("answers")
    };
    world.wait_until("the answers of the failure alone", async || kept().await == [failed]).await;
    let answers =
        |id| world.objects.list("users/").into_iter().filter(move |key| key.contains(&format!("{id}/answers/")));
    assert_eq!((answers(failed).count(), answers(succeeded).count()), (1, 0));
    assert!(world.objects.get(&report).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_answers_go_after_their_objects_but_not_of_live_jobs() {
    let world = assay_tests::World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()));
    let first_worker = worker(&env(&world)).await;
    let old = world.enqueue(TRANSCRIPT).await;
    let young = world.enqueue(TRANSCRIPT).await;
    for id in [old, young] {
        world.wait_for_status(id, "succeeded").await;
    }
    // A job that has its answer, and cannot write its report.
    world.objects.fault_always(Operation::Put, "report.json", Fault::Stall(gate.clone()));
    let live = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    let age = "update job_answers a set received_at = now() - interval '8 days'
                 from processing_jobs j where j.id = a.job_id and j.file_id = any ($1)";
    sqlx::query(age).bind([old, live].as_slice()).execute(world.database.pool()).await.expect("aged");
    world.objects.fault_always(Operation::Delete, &format!("{old}/answers/"), Fault::slow_down());
    let pruner = worker(&with(env(&world), &[("RETAIN_ANSWERS_DAYS", "7"), ("RETENTION_EVERY_MS", "50")])).await;
    let kept = async || -> Vec<uuid::Uuid> {
        sqlx::query_scalar("select j.file_id from job_answers a join processing_jobs j on j.id = a.job_id")
            .fetch_all(world.database.pool())
            .await
            .expect("answers")
    };
    pruner.wait_for_line("deletion of an old answer failed").await;
    assert!(kept().await.contains(&old), "its object is still there");
    world.objects.clear_faults();
    world.objects.fault_always(Operation::Put, "report.json", Fault::Stall(gate.clone()));
    pruner.wait_for_line("answers pruned").await;
    let kept = kept().await;
    assert!(kept.contains(&young) && kept.contains(&live) && !kept.contains(&old), "{kept:?}");
    let keys = world.objects.list("users/");
    let of = |id| keys.iter().any(|key| key.contains(&format!("{id}/answers/")));
    assert!(!of(old) && of(young) && of(live), "{keys:?}");
    world.objects.clear_faults();
    gate.release();
    world.wait_for_status(live, "succeeded").await;
    drop(first_worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_attempts_go_but_the_last_attempt_error_and_report_stay() {
    let world = assay_tests::World::start().await;
    world.model.always(Reply::json(&answer()));
    let mut first = worker(&env(&world)).await;
    let (ended, live) = (world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await);
    for id in [ended, live] {
        world.wait_for_status(id, "succeeded").await;
    }
    first.signal(assay_tests::Signal::TERM);
    assert!(first.wait().await.success());
    // Three lives, by their attempts: errors, a report, an error, a report, and the success of the life at hand.
    let history = "insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, ended_at, outcome, code, report_key)
        select j.id, t.token, t.life, 1, 'w', now() - interval '100 days', now() - t.days * interval '1 day', t.outcome, t.code, t.report
          from processing_jobs j,
               (values (-9, -1, 99, 'retried', 'llm_timeout', null), (-8, -1, 98, 'succeeded', null, 'old/report.json'),
                       (-7, 0, 97, 'retried', 'worker_lost', null), (-6, 0, 96, 'succeeded', null, 'last/report.json'),
                       (-5, 1, 95, 'released', null, null), (-4, 1, 10, 'released', null, null))
               as t (token, life, days, outcome, code, report)
         where j.file_id = any ($1)";
    sqlx::query(history).bind([ended, live].as_slice()).execute(world.database.pool()).await.expect("a history");
    // The success at hand has no report of its own in this story, so that an earlier one is the last.
    let plain =
        "update job_attempts set report_key = null, ended_at = now() - interval '91 days' where lease_token > 0";
    sqlx::query(plain).execute(world.database.pool()).await.expect("an old end");
    let alive =
        "update processing_jobs set status = 'queued', next_run_at = now() + interval '1 day' where file_id = $1";
    sqlx::query(alive).bind(live).execute(world.database.pool()).await.expect("a live job");

    let pruner = worker(&with(env(&world), &[("RETAIN_HISTORY_DAYS", "90"), ("RETENTION_EVERY_MS", "50")])).await;
    pruner.wait_for_line("history pruned").await;
    let kept = async |id| world.attempts(id).await.into_iter().map(|attempt| attempt.lease_token).collect::<Vec<_>>();
    assert_eq!(kept(ended).await, [-7, -6, -4, 1], "the last error, the last report, what is young, the last attempt");
    assert_eq!(kept(live).await, [-7, -6, -5, -4, 1], "and what belongs to a life that is not over");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_results_of_shadows_go_and_the_changes_of_releases_stay() {
    let world = assay_tests::World::start().await;
    world.model.always(Reply::json(&answer()));
    let (old, young) = (world.upload("txt", TRANSCRIPT).await, world.upload("txt", TRANSCRIPT).await);
    let digest = "0".repeat(64);
    let release = "insert into guest_releases (digest, prompt_version, revision, schema_version, size_bytes, published_by, retired_at)
                   values ($1, 'gone', 1, 'gone', 1, 'test', now())";
    sqlx::query(release).bind(&digest).execute(world.database.pool()).await.expect("a release");
    let change =
        "insert into release_changes (at, actor, action) values (now() - interval '1 year', 'test', 'publish')";
    sqlx::query(change).execute(world.database.pool()).await.expect("a change");
    let result = "insert into release_shadows (digest, file_id, beside, channel, result, at)
                  select $1, id, $1, 'default', 'same', now() - case when id = $2 then 91 else 89 end * interval '1 day' from files";
    sqlx::query(result).bind(&digest).bind(old).execute(world.database.pool()).await.expect("results");
    let pruner = worker(&with(env(&world), &[("RETENTION_EVERY_MS", "50")])).await;
    pruner.wait_for_line("history pruned").await;
    let left: Vec<uuid::Uuid> = sqlx::query_scalar("select file_id from release_shadows")
        .fetch_all(world.database.pool())
        .await
        .expect("results");
    assert_eq!(left, [young]);
    let changes: i64 = sqlx::query_scalar("select count(*) from release_changes")
        .fetch_one(world.database.pool())
        .await
        .expect("changes");
    assert_eq!(changes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_and_many_answers_go_batch_by_batch() {
    // More than two batches of history, and more than one of answers.
    const ATTEMPTS: i64 = 2500;
    const ANSWERS: i64 = 450;
    let world = assay_tests::World::start().await;
    world.model.always(Reply::json(&answer()));
    let mut first = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(id, "succeeded").await;
    first.signal(assay_tests::Signal::TERM);
    assert!(first.wait().await.success());
    let history = "insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, ended_at, outcome)
        select j.id, -number, -number, 1, 'w', now() - interval '100 days', now() - interval '99 days', 'released'
          from processing_jobs j, generate_series(1, $2::bigint) as number
         where j.file_id = $1";
    // Of lives that are over; their objects are gone already, which does no harm.
    let answers = "insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model, finish_reason, received_at)
        select a.job_id, -1, number, a.lease_token, a.prompt_sha256, a.key || '-' || number, a.sha256, a.model, a.finish_reason,
               now() - interval '31 days'
          from job_answers a
          join processing_jobs j on j.id = a.job_id
         cross join generate_series(1, $2::bigint) as number
         where j.file_id = $1";
    for (sql, count) in [(history, ATTEMPTS), (answers, ANSWERS)] {
        sqlx::query(sql).bind(id).bind(count).execute(world.database.pool()).await.expect("a long history");
    }

    let batches = "create table batches (relation text, rows bigint);
        create function note_batch() returns trigger language plpgsql as
            'begin insert into batches select tg_relname, count(*) from gone; return null; end';
        create trigger note after delete on job_attempts referencing old table as gone execute function note_batch();
        create trigger note after delete on job_answers referencing old table as gone execute function note_batch();";
    sqlx::raw_sql(batches).execute(world.database.pool()).await.expect("triggers");
    let _pruner = worker(&with(env(&world), &[("RETENTION_EVERY_MS", "50")])).await;
    let left = async |table: &str| -> i64 {
        let sql = format!("select count(*) from {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(world.database.pool()).await.expect("a count")
    };
    world
        .wait_until("only the last attempt and the young answer", async || {
            left("job_attempts").await == 1 && left("job_answers").await == 1
        })
        .await;
    let largest: (i64, i64) = sqlx::query_as(
        "select coalesce(max(rows) filter (where relation = 'job_attempts'), 0),
                coalesce(max(rows) filter (where relation = 'job_answers'), 0) from batches",
    )
    .fetch_one(world.database.pool())
    .await
    .expect("the batches");
    assert!((1..=1000).contains(&largest.0) && (1..=200).contains(&largest.1), "{largest:?}");
}
