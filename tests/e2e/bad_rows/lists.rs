//! Lists show every row: what cannot be read is shown as that, in its own cell.

use assay_core::ids::FileId;
use assay_db::{
    UnreadableColumn,
    replay::{ReplayCursor, ReplaySelection},
};
use assay_tests::{AssayProcess, Reply, TestDatabase, World};
use serde_json::{Value, json};

use super::{abandon, assay, database, job_id, run};
use crate::fixtures::{TRANSCRIPT, answer, env, worker};

#[tokio::test(flavor = "multi_thread")]
async fn every_command_shows_rows_with_times_of_no_calendar() {
    let world = World::start().await;
    let env = env(&world);
    run(&world, "alter table processing_jobs drop constraint processing_jobs_next_run_is_plausible").await;
    let mut files = Vec::new();
    for at in ["20000-01-01", "0044-03-15 BC", "2026-03-04", "294276-12-31"] {
        let file = world.enqueue(TRANSCRIPT).await;
        run(
            &world,
            &format!(
                "update processing_jobs set next_run_at = '{at}', updated_at = '{at}' where file_id = '{file}';
                 update files set queued_at = '{at}', processed_at = 'infinity', started_at = '-infinity' where id = '{file}'"
            ),
        )
        .await;
        let job = job_id(&world, file).await;
        run(
            &world,
            &format!(
                "insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, ended_at, outcome)
                 values ('{job}', 1, 1, 1, 'w', '-infinity', 'infinity', 'retried')"
            ),
        )
        .await;
        files.push(file.to_string());
    }
    run(
        &world,
        "insert into workers (id, version, slots, started_at, releases, breakers)
         values ('odd', '1', 1, '-infinity', '{}', '[1]');
         insert into queue_pauses (channel, actor, paused_at) values ('slow', 'anna', 'infinity')",
    )
    .await;
    let mut commands: Vec<Vec<&str>> =
        vec![vec!["status"], vec!["jobs", "list"], vec!["queue", "resume", "--channel", "fast"]];
    for file in &files {
        commands.push(vec!["status", file]);
        commands.push(vec!["jobs", "show", file]);
    }
    for command in commands {
        let json = [&command[..], &["--json"]].concat();
        for arguments in if command[0] == "queue" { vec![command] } else { vec![command, json] } {
            let mut process = AssayProcess::spawn(&arguments, &env);
            let code = process.wait().await.code();
            assert_eq!(code, Some(0), "{arguments:?}: {:?}", process.stderr());
            let shown = process.stdout().join("\n");
            assert!(!shown.contains("20000"), "{shown}");
        }
    }
    let mut list = AssayProcess::spawn(&["jobs", "list"], &env);
    list.wait().await;
    assert!(list.stdout().join("\n").contains("never"), "{:?}", list.stdout());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_row_cannot_be_read_is_shown_as_unreadable() {
    let world = World::start().await;
    let digest = "a".repeat(64);
    run(
        &world,
        &format!(
            r#"insert into workers (id, version, slots, releases, breakers)
               values ('odd', '1', 1, '{{"a": 1}}', '[1]'), ('bad', '1', 1, '[{{"digest": 7}}]', '[]'),
                      ('good', '1', 1, '[{{"prompt_version": "minutes-v1", "digest": "{digest}"}}]', '[]');
               insert into guest_releases (digest, prompt_version, revision, schema_version, size_bytes, published_by)
               values ('{digest}', 'minutes-v1', 1, 's', 1, 'anna')"#
        ),
    )
    .await;
    let env = env(&world);
    let (code, status, _) = assay(&env, &["status"]).await;
    let line = |text: &str, of: &str| text.lines().find(|line| line.starts_with(of)).map(str::to_owned);
    assert_eq!(code, Some(0));
    assert!(line(&status, "odd").is_some_and(|line| line.ends_with("unreadable")), "{status}");
    assert!(line(&status, "bad").is_some_and(|line| line.ends_with("unreadable")), "{status}");
    assert!(line(&status, "good").is_some_and(|line| line.contains("minutes-v1")), "{status}");
    assert!(line(&status, "unreadable").is_some_and(|line| line.ends_with('1')), "{status}");
    let (_, status, _) = assay(&env, &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let unreadable: Vec<_> =
        status["workers"].as_array().expect("workers").iter().map(|it| &it["unreadable"]).collect();
    // In the order of their names: bad, good, odd.
    assert_eq!(unreadable[0], &json!(["workers.releases"]));
    assert_eq!(unreadable[1], &Value::Null);
    assert_eq!(unreadable[2], &json!(["workers.releases", "workers.breakers"]));
    let (code, list, _) = assay(&env, &["release", "list"]).await;
    assert_eq!(code, Some(0));
    assert!(list.contains("bad unreadable, good, odd unreadable"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_status_that_another_program_writes_are_counted() {
    let world = World::start().await;
    let (archived, _queued) = (world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await);
    run(
        &world,
        &format!(
            "alter table processing_jobs drop constraint processing_jobs_status_check;
             update processing_jobs set status = 'archived' where file_id = '{archived}'"
        ),
    )
    .await;
    let (code, status, _) = assay(&env(&world), &["status", "--json"]).await;
    assert_eq!(code, Some(0));
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let jobs: Vec<_> = status["queue"]
        .as_array()
        .expect("states")
        .iter()
        .map(|it| (it["status"].as_str(), it["jobs"].as_i64()))
        .collect();
    assert_eq!(jobs.len(), 5, "{jobs:?}");
    assert!(jobs.contains(&(Some("archived"), Some(1))) && jobs.contains(&(Some("queued"), Some(1))), "{jobs:?}");
    let (code, list, _) = assay(&env(&world), &["jobs", "list"]).await;
    assert_eq!(code, Some(0));
    assert!(list.contains("archived") && list.contains("queued"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_shown_with_an_attempt_as_long_as_the_calendar() {
    let world = World::start().await;
    let file = world.enqueue(TRANSCRIPT).await;
    let job = job_id(&world, file).await;
    run(
        &world,
        &format!(
            "insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, ended_at, outcome)
             values ('{job}', 1, 1, 1, 'w', '4713-01-01 BC', '294276-12-31', 'retried'),
                    ('{job}', 2, 1, 2, 'w', '-infinity', now(), 'retried'),
                    ('{job}', 3, 1, 3, 'w', now(), now() + interval '2 seconds', 'lost')"
        ),
    )
    .await;
    let state = database(&world).file_status(FileId(file)).await.expect("a readable file").expect("a file");
    let seconds: Vec<_> = state.history.iter().map(|attempt| attempt.seconds.map(f64::round)).collect();
    assert!(seconds[0].is_some_and(|seconds| seconds > 9.4e12), "{seconds:?}");
    assert_eq!(seconds[1..], [None, Some(2.0)]);
    let named = file.to_string();
    for command in [["status", &named].as_slice(), &["jobs", "show", &named]] {
        let (code, shown, stderr) = assay(&env(&world), command).await;
        assert_eq!(code, Some(0), "{stderr}");
        assert!(shown.contains("unreadable") && shown.contains("2.0"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_job_without_its_guest_keeps_no_other_from_a_replay() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let _worker = worker(&env(&world)).await;
    let mut files = Vec::new();
    for _ in 0..3 {
        let file = world.enqueue(TRANSCRIPT).await;
        world.wait_for_status(file, "succeeded").await;
        files.push(file);
    }
    let odd = files[1];
    run(&world, &format!("update processing_jobs set guest_digest = null where file_id = '{odd}'")).await;
    let jobs = database(&world).replay_jobs(&ReplaySelection::default(), ReplayCursor::START, 10).await;
    let jobs = jobs.expect("a list");
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        let column = job.case.err();
        let expected = (job.file_id.0 == odd).then_some(UnreadableColumn("processing_jobs.guest_digest"));
        assert_eq!(column, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_no_utf_8_keeps_no_other_job_from_a_replay() {
    let mut world = World::start().await;
    world.database = TestDatabase::in_encoding("SQL_ASCII").await;
    world.model.always(Reply::json(&answer()));
    let env = env(&world);
    assert_eq!(assay(&env, &["migrate"]).await.0, Some(0));
    let _worker = worker(&env).await;
    let mut files = Vec::new();
    for _ in 0..5 {
        let file = world.enqueue(TRANSCRIPT).await;
        world.wait_for_status(file, "succeeded").await;
        files.push(file);
    }
    let odd = files[2];
    let latin_1 = "convert_from(decode('e9', 'hex'), 'SQL_ASCII')";
    run(&world, &format!("update files set original_filename = {latin_1} where id = '{odd}'")).await;
    let jobs = database(&world).replay_jobs(&ReplaySelection::default(), ReplayCursor::START, 10).await;
    let jobs: Vec<_> = jobs.expect("a list").into_iter().map(|job| (job.file_id.0, job.case.is_ok())).collect();
    let newest_first: Vec<_> = files.iter().rev().map(|file| (*file, *file != odd)).collect();
    assert_eq!(jobs, newest_first);
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_below_any_count_saturate_too() {
    let world = World::start().await;
    let file = world.enqueue(TRANSCRIPT).await;
    abandon(&world, file).await;
    let job = job_id(&world, file).await;
    let digest = "a".repeat(64);
    run(
        &world,
        &format!(
            "insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, outcome, tokens_in, guest_digest)
             select '{job}', -token, 1, 1, 'w', now(), 'succeeded', -9223372036854775807, '{digest}'
               from generate_series(1, 3) token;
             alter table job_answers drop constraint job_answers_tokens_are_plausible;
             insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model, finish_reason,
                                      tokens_in)
             select j.id, j.life, o, j.lease_token, '', 'k', '', 'm', 'stop', -9223372036854775807
               from processing_jobs j, generate_series(0, 2) o where j.id = '{job}'"
        ),
    )
    .await;
    let stats = database(&world).release_stats(&digest, None, None).await.expect("statistics");
    assert_eq!(stats.tokens_in, i64::MIN);
    let lost = database(&world).reap_expired(&[]).await.expect("a round of the reaper");
    assert_eq!((lost.reaped.len(), lost.refused), (1, Vec::new()));
}
