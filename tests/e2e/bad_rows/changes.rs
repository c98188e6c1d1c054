//! Commands and maintenance that change many rows: one that the database refuses to change stays, and no other.

use assay_tests::{Gate, Reply, World};
use serde_json::Value;
use uuid::Uuid;

use super::{assay, job_id, run};
use crate::fixtures::{TRANSCRIPT, answer, env, short_leases, with, worker};

/// Makes a trigger of the deployment that refuses to change or delete the rows that meet `condition`.
async fn refuse(world: &World, when: &str, table: &str, condition: &str) {
    run(
        world,
        &format!(
            "create or replace function of_another_program() returns trigger language plpgsql as $$
             begin
                 raise exception 'not this row';
             end $$;
             create trigger of_another_program before {when} on {table} for each row when ({condition})
                 execute function of_another_program()"
        ),
    )
    .await;
}

/// Enqueues files and ends their jobs without a worker.
async fn ended<const N: usize>(world: &World, status: &str) -> [Uuid; N] {
    let mut files = [Uuid::nil(); N];
    for file in &mut files {
        *file = world.enqueue(TRANSCRIPT).await;
    }
    run(
        world,
        &format!(
            "update processing_jobs set status = '{status}';
             update files set status = '{status}', processed_at = now() - interval '1 hour', prompt_version = 'minutes-v1',
                    error_code = case when '{status}' = 'failed' then 'llm_timeout' end,
                    storage_key_report = case when '{status}' = 'succeeded' then 'report.json' end"
        ),
    )
    .await;
    files
}

async fn statuses(world: &World, files: &[Uuid]) -> Vec<(String, String)> {
    let mut statuses = Vec::new();
    for file in files {
        statuses.push((world.file(*file).await.status, world.job(*file).await.status));
    }
    statuses
}

fn all(files: &[Uuid], status: &str) -> Vec<(String, String)> {
    vec![(status.to_owned(), status.to_owned()); files.len()]
}

/// Returns the refused ids of a JSON document with their SQLSTATEs, sorted.
fn refused(document: &Value) -> Vec<(String, String)> {
    let of = |one: &Value| {
        let reason = one["reason"].as_str().expect("a reason");
        let sqlstate = reason.split_once("SQLSTATE ").expect("a SQLSTATE").1.trim_end_matches(')');
        (one["id"].as_str().expect("an id").to_owned(), sqlstate.to_owned())
    };
    let mut refused: Vec<_> = document["refused"].as_array().expect("refused jobs").iter().map(of).collect();
    refused.sort();
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_jobs_are_requeued_but_for_those_that_the_database_refuses() {
    let world = World::start().await;
    let files: [Uuid; 14] = ended(&world, "failed").await;
    let (bad, good) = files.split_at(4);
    let [raised, checked, counted, twice] = bad[..] else { unreachable!("four") };
    let mut expected = Vec::new();
    for (file, sqlstate) in bad.iter().zip(["P0001", "23514", "22003", "23505"]) {
        expected.push((job_id(&world, *file).await.to_string(), sqlstate.to_owned()));
    }
    expected.sort();
    refuse(&world, "update", "files", &format!("old.id = '{raised}'")).await;
    let answered = job_id(&world, twice).await;
    run(
        &world,
        &format!(
            "alter table processing_jobs add constraint of_another_program
                 check (file_id <> '{checked}' or status = 'processing') not valid;
             update processing_jobs set life = 2147483647 where file_id = '{counted}';
             insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model, finish_reason)
             select '{answered}', life, 0, 1, '', 'k', '', 'm', 'stop' from generate_series(1, 2) life"
        ),
    )
    .await;
    let env = env(&world);
    let (code, printed, stderr) = assay(&env, &["requeue", "--failed", "--rate", "30/min", "--json"]).await;
    assert_eq!(code, Some(1), "{stderr}");
    let document: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((document["jobs"].as_u64(), document["changed_meanwhile"].as_u64()), (Some(10), Some(0)));
    assert_eq!(refused(&document), expected);
    for (id, sqlstate) in &expected {
        assert!(stderr.lines().any(|line| line.contains(id) && line.contains(sqlstate)), "{stderr}");
    }
    assert_eq!(statuses(&world, good).await, all(good, "queued"));
    assert_eq!(statuses(&world, bad).await, all(bad, "failed"));
    let gaps =
        "select count(distinct next_run_at)::float8, extract(epoch from max(next_run_at) - min(next_run_at))::float8
                  from processing_jobs where status = 'queued'";
    let gaps: (f64, f64) = sqlx::query_as(gaps).fetch_one(world.database.pool()).await.expect("times");
    assert_eq!(gaps, (10.0, 18.0), "refused jobs take no place in the pace");
    let (code, _, stderr) = assay(&env, &["jobs", "retry", &raised.to_string()]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&raised.to_string()) && stderr.contains("SQLSTATE P0001"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn succeeded_files_are_requeued_but_for_those_that_the_database_refuses() {
    let world = World::start().await;
    let files: [Uuid; 9] = ended(&world, "succeeded").await;
    let (bad, good) = files.split_at(2);
    let [raised, counted] = bad[..] else { unreachable!("two") };
    refuse(&world, "update", "files", &format!("old.id = '{raised}'")).await;
    run(&world, &format!("update processing_jobs set life = 2147483647 where file_id = '{counted}'")).await;
    let (code, printed, stderr) = assay(&env(&world), &["requeue", "--succeeded", "--json"]).await;
    assert_eq!(code, Some(1), "{stderr}");
    let document: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((document["jobs"].as_u64(), document["changed_meanwhile"].as_u64()), (Some(7), Some(0)));
    let mut expected = vec![(raised.to_string(), "P0001".to_owned()), (counted.to_string(), "22003".to_owned())];
    expected.sort();
    assert_eq!(refused(&document), expected);
    assert_eq!(statuses(&world, good).await, all(good, "queued"));
    assert_eq!(statuses(&world, bad).await, all(bad, "succeeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeue_that_the_database_refuses_for_every_job_ends_and_names_them() {
    let world = World::start().await;
    let files: [Uuid; 5] = ended(&world, "failed").await;
    run(&world, "alter table files add constraint of_another_program check (status = 'failed')").await;
    let (code, printed, _) = assay(&env(&world), &["requeue", "--failed", "--json"]).await;
    let document: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((code, document["jobs"].as_u64(), refused(&document).len()), (Some(1), Some(0), 5));
    assert_eq!(statuses(&world, &files).await, all(&files, "failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_cancelled_but_for_those_that_the_database_refuses() {
    let world = World::start().await;
    let mut files = Vec::new();
    for _ in 0..7 {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    let bad = files.remove(3);
    refuse(&world, "update", "files", &format!("old.id = '{bad}'")).await;
    let ids: Vec<String> = files[..3].iter().chain([&bad]).chain(&files[3..]).map(Uuid::to_string).collect();
    let arguments: Vec<&str> = ["jobs", "cancel", "--json"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let (code, printed, stderr) = assay(&env(&world), &arguments).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&bad.to_string()) && stderr.contains("SQLSTATE P0001"), "{stderr}");
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    let text = |one: &Value, name: &str| one[name].as_str().expect("a text").to_owned();
    let printed = printed.as_array().expect("jobs");
    assert_eq!(printed.iter().map(|one| text(one, "id")).collect::<Vec<_>>(), ids, "in the order given");
    let mut results = ["cancelled"; 7];
    results[3] = "refused";
    assert_eq!(printed.iter().map(|one| text(one, "result")).collect::<Vec<_>>(), results);
    assert_eq!(text(&printed[3], "sqlstate"), "P0001");
    assert_eq!(statuses(&world, &files).await, all(&files, "failed"));
    assert_eq!(statuses(&world, &[bad]).await, all(&[bad], "queued"));
}

/// Returns how many rows are left of a table.
async fn left(world: &World, table: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(sql).fetch_one(world.database.pool()).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_are_deleted_but_for_those_that_the_database_refuses() {
    const TABLES: [&str; 4] = ["job_answers", "job_attempts", "release_shadows", "workers"];
    let world = World::start().await;
    let files: [Uuid; 6] = ended(&world, "failed").await;
    let bad = job_id(&world, files[2]).await;
    let old = "
        insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model, finish_reason, received_at)
        select id, 1, 0, 1, '', 'answers/' || id, '', 'm', 'stop', now() - interval '8 days' from processing_jobs;
        insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, ended_at, outcome)
        select id, token, 0, 1, 'w', now(), now() - interval '100 days', 'released' from processing_jobs, generate_series(1, 3) token;
        insert into release_shadows (digest, file_id, beside, channel, result, at)
        select repeat('0', 64), id, 'b', 'default', 'same', now() - interval '100 days' from files;";
    run(
        &world,
        &format!(
            "insert into guest_releases (digest, prompt_version, revision, schema_version, size_bytes, published_by, retired_at)
             values (repeat('0', 64), 'gone', 1, 'gone', 1, 'test', now());
             insert into workers (id, version, slots, beat_at)
             select 'gone-' || n, '1', 1, now() - interval '2 days' from generate_series(1, 5) n;{old}"
        ),
    )
    .await;
    let of_job = format!("old.job_id = '{bad}'");
    refuse(&world, "delete", "job_answers", &of_job).await;
    refuse(&world, "delete", "job_attempts", &format!("{of_job} and old.lease_token = 1")).await;
    refuse(&world, "delete", "release_shadows", &format!("old.file_id = '{}'", files[2])).await;
    refuse(&world, "delete", "workers", "old.id = 'gone-3'").await;
    let every = [("RETAIN_ANSWERS_DAYS", "7"), ("RETAIN_HISTORY_DAYS", "90"), ("RETENTION_EVERY_MS", "50")];
    let worker = worker(&with(env(&world), &every)).await;
    let pruned = async || {
        // The last attempt of each job stays; the worker itself is the sixth.
        let expected = [1, 7, 1, 2];
        for (table, expected) in TABLES.into_iter().zip(expected) {
            if left(&world, table).await != expected {
                return false;
            }
        }
        true
    };
    world.wait_until("all other rows are gone", pruned).await;
    for table in TABLES {
        let named = worker.wait_for_line(&format!("table=\"{table}\"")).await;
        assert!(named.contains("row_refused") && named.contains("P0001"), "{named}");
    }
    // A round later, what is new goes too, and nothing is named again.
    run(
        &world,
        "insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model, finish_reason, received_at)
         select id, 1, 1, 1, '', 'later/' || id, '', 'm', 'stop', now() - interval '7 days 1 hour' from processing_jobs",
    )
    .await;
    let again = async || left(&world, "job_answers").await == 2;
    world.wait_until("the later answers of the others are gone", again).await;
    let named =
        worker.stderr().into_iter().filter(|line| line.contains("row_refused") && line.contains("job_attempts"));
    assert_eq!(named.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_the_database_refuses_to_renew_ends_no_other() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let worker = worker(&short_leases(env(&world))).await;
    let mut files = Vec::new();
    for _ in 0..4 {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    gate.reached_by(4).await;
    let bad = job_id(&world, files.remove(1)).await;
    let beat =
        format!("old.id = '{bad}' and old.heartbeat_at < new.heartbeat_at and old.lease_token = new.lease_token");
    refuse(&world, "update", "processing_jobs", &beat).await;
    let named = worker.wait_for_line("row_refused").await;
    assert!(named.contains(&bad.to_string()) && named.contains("P0001"), "{named}");
    let now: f64 = sqlx::query_scalar("select extract(epoch from now())::float8")
        .fetch_one(world.database.pool())
        .await
        .expect("a time");
    // Longer than a lease.
    let renewed = async || {
        let beats = "select count(*) from processing_jobs where id <> $1 and extract(epoch from heartbeat_at) > $2 + 3";
        let beats: i64 =
            sqlx::query_scalar(beats).bind(bad).bind(now).fetch_one(world.database.pool()).await.expect("beats");
        beats == 3
    };
    world.wait_until("the other leases are renewed", renewed).await;
    gate.release();
    for file in files {
        world.wait_for_status(file, "succeeded").await;
        assert_eq!(world.job(file).await.attempts, 1);
    }
}
