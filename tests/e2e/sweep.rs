//! What lies in the bucket and no row points at: found, counted, and deleted where that is wanted and safe.

use std::time::{Duration, SystemTime};

use assay_tests::{AssayProcess, Fault, Gate, Operation, Reply, Signal, World};
use serde_json::Value;
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, answer, env, with, worker};

/// A finished `assay sweep`.
struct Swept {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn ended(mut process: AssayProcess) -> Swept {
    let code = process.wait().await.code();
    Swept { code, stdout: process.stdout().join("\n"), stderr: process.stderr().join("\n") }
}

async fn sweep(env: &Env, arguments: &[&str]) -> Swept {
    ended(AssayProcess::spawn(&[&["sweep"], arguments].concat(), env)).await
}

/// Returns a sweep that succeeds, and what it counted.
async fn counted(env: &Env, arguments: &[&str]) -> Value {
    let swept = sweep(env, &[arguments, &["--json"]].concat()).await;
    assert_eq!(swept.code, Some(0), "{}", swept.stderr);
    serde_json::from_str(&swept.stdout).expect("one JSON document")
}

async fn marked(env: &Env) {
    let swept = sweep(env, &["--mark"]).await;
    assert_eq!(swept.code, Some(0), "{}", swept.stderr);
}

/// Makes objects two days old.
#[expect(clippy::disallowed_methods, reason = "the sweep compares the times of files on this machine")]
fn age(world: &World, keys: &[String]) {
    let then = SystemTime::now() - Duration::from_secs(2 * 86_400);
    for key in keys {
        let file = std::fs::File::options().write(true).open(world.objects.bucket().path(key)).expect("the object");
        file.set_modified(then).expect("its time");
    }
}

/// Makes every object of the bucket two days old.
fn age_all(world: &World) {
    age(world, &world.objects.list(""));
}

/// Puts an upload that no row points at; gives its file and its key.
async fn lost_upload(world: &World) -> (Uuid, String) {
    let file = Uuid::new_v4();
    let key = format!("users/{}/files/{file}/original.txt", Uuid::new_v4());
    world.objects.put(&key, "lost").await;
    (file, key)
}

/// Returns a world with a database of another name: those of tests are copies of one, and a copy has the name of its original.
async fn other_world() -> World {
    let world = World::start().await;
    sqlx::query("update installation set id = gen_random_uuid()").execute(world.database.pool()).await.expect("a name");
    world
}

/// Returns the folder of a file's objects.
async fn folder(world: &World, file: Uuid) -> String {
    let row = world.file(file).await;
    format!("users/{}/files/{file}", row.user_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_row_points_at_goes_and_everything_else_stays() {
    let world = World::start().await;
    world.model.push(Reply::answer("no JSON"));
    world.model.always(Reply::json(&answer()));
    let env = env(&world);
    let mut running = worker(&env).await;
    let failed = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(failed, "failed").await;
    // Two lives, each with its report.
    let twice = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(twice, "succeeded").await;
    world.enqueue_file(twice, None).await;
    world.wait_for_job(twice, |job| job.life == 2 && job.status == "succeeded").await;
    running.signal(Signal::TERM);
    assert!(running.wait().await.success());
    let uploaded = world.upload("vtt", "WEBVTT\n\n").await;
    let live = world.enqueue(TRANSCRIPT).await;
    // Another file's row may share an upload.
    let (_, shared) = lost_upload(&world).await;
    let sharing = world.row("txt", 4).await;
    sqlx::query("update files set storage_key_original = $2 where id = $1")
        .bind(sharing)
        .bind(&shared)
        .execute(world.database.pool())
        .await
        .expect("a shared upload");

    let report = world.file(twice).await.storage_key_report.expect("a report");
    let notes = report.replace("report.json", "notes.json");
    let (twice_folder, live_folder) = (folder(&world, twice).await, folder(&world, live).await);
    let (twice_job, live_job) = (world.job(twice).await.id, world.job(live).await.id);
    let of_live = format!("{live_folder}/runs/{live_job}-9/report.json");
    let foreign = format!("{twice_folder}/thumbnail.png");
    let young = format!("{twice_folder}/runs/{twice_job}-77/report.json");
    for key in [&notes, &of_live, &foreign] {
        world.objects.put(key, "{}").await;
    }
    let (_, lost) = lost_upload(&world).await;
    let orphans = [
        lost,
        format!("{twice_folder}/runs/{twice_job}-98/report.json"),
        format!("{twice_folder}/runs/{twice_job}-98/notes.json"),
        format!("{twice_folder}/answers/{twice_job}/0-98.json"),
        format!("{twice_folder}/runs/{}-1/raw_llm_output.json", Uuid::new_v4()),
    ];
    let kept: Vec<_> = world.objects.list("users/").into_iter().filter(|key| !orphans.contains(key)).collect();
    for key in &orphans[1..] {
        world.objects.put(key, "{}").await;
    }
    age_all(&world);
    world.objects.put(&young, "{}").await;
    marked(&env).await;
    let before = world.objects.list("users/");

    let found = counted(&env, &["--max-percent", "100"]).await;
    let numbers = ["uploads", "answers", "runs", "orphans", "live", "young", "foreign", "deleted"];
    assert_eq!(numbers.map(|name| found[name].as_u64().expect("a number")), [1, 1, 3, 5, 2, 1, 1, 0], "{found}");
    assert_eq!(found["listed"].as_u64(), Some(before.len() as u64), "all under users/");
    let keys = sweep(&env, &["--keys"]).await;
    let mut printed: Vec<_> = keys.stdout.lines().map(str::to_owned).collect();
    let mut expected = orphans.to_vec();
    printed.sort();
    expected.sort();
    assert_eq!((keys.code, printed), (Some(0), expected));
    assert_eq!(world.objects.list("users/"), before, "a report changes nothing");

    let swept = sweep(&with(env.clone(), &[("LOG_FORMAT", "json")]), &["--delete", "--max-percent", "100"]).await;
    assert_eq!(swept.code, Some(0), "{}", swept.stderr);
    assert!(swept.stdout.contains("\ndeleted 5 objects\nwhere the bucket keeps versions, "), "{}", swept.stdout);
    let events: Vec<Value> = swept.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for key in &orphans {
        let printed = |event: &&Value| event["event"] == "object_swept" && event["object.key"] == key.as_str();
        assert_eq!(events.iter().filter(printed).count(), 1, "{key}: {events:?}");
    }
    let left = world.objects.list("users/");
    assert!(kept.iter().chain([&young]).all(|key| left.contains(key)), "{left:?}");
    assert_eq!(left.len(), before.len() - orphans.len());
    assert!(left.contains(&world.file(uploaded).await.storage_key_original));
    assert_eq!(counted(&env, &["--delete"]).await["orphans"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_swept_only_where_it_is_marked_as_this_databases() {
    let world = World::start().await;
    let env = env(&world);
    let (_, key) = lost_upload(&world).await;
    age_all(&world);
    for arguments in [&["--delete", "--max-percent", "100"][..], &[]] {
        let swept = sweep(&env, arguments).await;
        assert_eq!(swept.code, Some(1));
        assert!(swept.stderr.contains("has no assay/database.json") && swept.stderr.contains("assay sweep --mark"));
    }

    // Another database with the same bucket, which marks it first.
    let other = other_world().await;
    let others = with(env.clone(), &[("DATABASE_URL", other.database.url())]);
    marked(&others).await;
    for arguments in [&["--delete", "--max-percent", "100"][..], &["--mark"]] {
        let swept = sweep(&env, arguments).await;
        assert_eq!(swept.code, Some(1));
        assert!(swept.stderr.contains("is marked for the database"), "{}", swept.stderr);
        assert!(swept.stderr.contains("correct S3_BUCKET or DATABASE_URL"), "{}", swept.stderr);
    }
    let again = sweep(&others, &["--mark"]).await;
    assert!(again.code == Some(0) && again.stdout.contains("was marked before"), "{}", again.stdout);

    world.objects.put("assay/database.json", "{\"database\": \"nobody\"}").await;
    let swept = sweep(&env, &["--delete"]).await;
    assert!(swept.code == Some(1) && swept.stderr.contains("names no database"), "{}", swept.stderr);
    assert!(world.objects.get(&key).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_where_it_would_be_too_much_of_the_bucket() {
    let world = World::start().await;
    let env = env(&world);
    marked(&env).await;
    for _ in 0..38 {
        world.upload("txt", TRANSCRIPT).await;
    }
    let mut lost = Vec::new();
    for _ in 0..3 {
        lost.push(lost_upload(&world).await.1);
    }
    age_all(&world);
    // 3 of 41 are more than 5 %, 2 of 40 are not.
    let swept = sweep(&env, &["--delete"]).await;
    assert_eq!(swept.code, Some(1));
    assert!(swept.stderr.contains("no row points at 3 of 41 objects, more than 5 %"), "{}", swept.stderr);
    assert!(swept.stderr.contains("nothing was deleted") && swept.stderr.contains("--max-percent"));
    let report = sweep(&env, &[]).await;
    assert!(report.code == Some(0) && report.stdout.contains("--delete would refuse"), "{}", report.stdout);
    assert_eq!(world.objects.list("users/").len(), 41);

    world.objects.delete(&lost.pop().expect("three")).await;
    assert_eq!(counted(&env, &["--delete"]).await["deleted"], 2);
    assert_eq!(world.objects.list("users/").len(), 38);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_points_at_an_object_during_the_count_keeps_it() {
    let world = World::start().await;
    let env = env(&world);
    marked(&env).await;
    let ((_, lost), (file, found)) = (lost_upload(&world).await, lost_upload(&world).await);
    age_all(&world);
    // The first listing counts, the second one deletes.
    let (first, second) = (Gate::new(), Gate::new());
    world.objects.fault(Operation::Bucket, "", Fault::Stall(first.clone()));
    let sweeping = AssayProcess::spawn(&["sweep", "--delete", "--max-percent", "100", "--json"], &env);
    first.reached().await;
    world.objects.fault(Operation::Bucket, "", Fault::Stall(second.clone()));
    first.release();
    second.reached().await;
    let row = "insert into files (id, user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes)
               values ($1, $2, $3, $4, 'txt', 'text/plain', 4)";
    sqlx::query(row)
        .bind(file)
        .bind(Uuid::new_v4())
        .bind(world.objects.bucket_name())
        .bind(&found)
        .execute(world.database.pool())
        .await
        .expect("a late row");
    second.release();
    let swept = ended(sweeping).await;
    assert_eq!(swept.code, Some(0), "{}", swept.stderr);
    let swept: Value = serde_json::from_str(&swept.stdout).expect("JSON");
    assert_eq!([&swept["orphans"], &swept["deleted"]], [2, 1], "{swept}");
    assert_eq!(world.objects.list("users/"), [found]);
    assert!(world.objects.get(&lost).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_vanish_during_the_count_stop_the_sweep() {
    let world = World::start().await;
    let env = env(&world);
    marked(&env).await;
    for _ in 0..25 {
        world.upload("txt", TRANSCRIPT).await;
    }
    lost_upload(&world).await;
    age_all(&world);
    let (first, second) = (Gate::new(), Gate::new());
    world.objects.fault(Operation::Bucket, "", Fault::Stall(first.clone()));
    let sweeping = AssayProcess::spawn(&["sweep", "--delete"], &env);
    first.reached().await;
    world.objects.fault(Operation::Bucket, "", Fault::Stall(second.clone()));
    first.release();
    second.reached().await;
    sqlx::query("delete from files").execute(world.database.pool()).await.expect("a disaster");
    second.release();
    let swept = ended(sweeping).await;
    assert_eq!(swept.code, Some(1));
    assert!(swept.stderr.contains("stopped after 0 deletions"), "{}", swept.stderr);
    assert_eq!(world.objects.list("users/").len(), 26);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_deleted_is_logged_and_the_others_go() {
    let world = World::start().await;
    let env = env(&world);
    marked(&env).await;
    let ((_, stuck), (_, lost)) = (lost_upload(&world).await, lost_upload(&world).await);
    age_all(&world);
    world.objects.fault_always(Operation::Delete, &stuck, Fault::Status { status: 403, code: "AccessDenied" });
    let swept = sweep(&env, &["--delete", "--max-percent", "100"]).await;
    assert_eq!(swept.code, Some(1));
    assert!(
        swept.stdout.contains("\ndeleted 1 object\n")
            && swept.stdout.ends_with("could not delete 1 object; the log says why"),
        "{}",
        swept.stdout
    );
    assert!(swept.stderr.contains("403 AccessDenied") && swept.stderr.contains(&stuck), "{}", swept.stderr);
    assert!(world.objects.get(&lost).await.is_none() && world.objects.get(&stuck).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_fails_ends_the_sweep_and_deletes_nothing() {
    let world = World::start().await;
    let env = env(&world);
    marked(&env).await;
    lost_upload(&world).await;
    age_all(&world);
    world.objects.fault_always(Operation::Bucket, "", Fault::Status { status: 403, code: "AccessDenied" });
    let swept = sweep(&env, &["--delete", "--max-percent", "100"]).await;
    assert_eq!(swept.code, Some(1));
    assert!(swept.stderr.contains("list the bucket: 403 AccessDenied"), "{}", swept.stderr);
    assert_eq!(world.objects.list("users/").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_workers_sweep_by_themselves_one_at_a_time() {
    let world = World::start().await;
    let env = env(&world);
    marked(&env).await;
    for _ in 0..20 {
        lost_upload(&world).await;
    }
    let young = world.objects.list("users/");
    let lost = lost_upload(&world).await.1;
    age(&world, std::slice::from_ref(&lost));
    // Another worker is at it.
    let busy = "update installation set sweeping_by = 'another', sweeping_until = now() + interval '1 hour'";
    sqlx::query(busy).execute(world.database.pool()).await.expect("a lease");
    let looked = world.objects.count(Operation::Bucket, "");
    let mut reporting = worker(&with(env.clone(), &[("SWEEP", "report"), ("SWEEP_EVERY_MS", "50")])).await;
    let deleting = with(env.clone(), &[("SWEEP", "delete"), ("SWEEP_EVERY_MS", "50"), ("LOG_FORMAT", "json")]);
    world.model.always(Reply::json(&answer()));
    let file = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(file, "succeeded").await;
    assert_eq!(world.objects.count(Operation::Bucket, ""), looked, "a sweep of another worker is left to it");
    sqlx::query("update installation set sweeping_until = now() - interval '1 second'")
        .execute(world.database.pool())
        .await
        .expect("a lease that is over");
    reporting.wait_for_line("bucket swept").await;
    assert!(world.objects.get(&lost).await.is_some(), "a report deletes nothing");
    reporting.signal(Signal::TERM);
    assert!(reporting.wait().await.success());

    // What was stopped in the middle is its worker's until the lease is over.
    sqlx::query("update installation set sweeping_by = null, sweeping_until = null")
        .execute(world.database.pool())
        .await
        .expect("no lease");
    let mut deleting = worker(&deleting).await;
    let event = deleting.wait_for_line("object_swept").await;
    assert!(event.contains(&lost), "{event}");
    deleting.wait_for_line("bucket swept").await;
    let left = world.objects.list("users/");
    assert!(young.iter().all(|key| left.contains(key)) && !left.contains(&lost));
    let metrics = crate::fixtures::admin(&deleting).await + "/metrics";
    let page = reqwest::get(&metrics).await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("assay_swept_objects_total 1"), "{page}");
    deleting.signal(Signal::TERM);
    assert!(deleting.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_shows_whose_bucket_it_is() {
    let world = World::start().await;
    let env = env(&world);
    let check = async |env: &Env| {
        let mut process = AssayProcess::spawn(&["check", "--json"], env);
        process.wait().await;
        let checked: Value = serde_json::from_str(&process.stdout().join("\n")).expect("JSON");
        let checks = checked["checks"].as_array().expect("checks").clone();
        checks.into_iter().find(|check| check["name"] == "sweep").expect("a check of the sweep")
    };
    let unmarked = check(&env).await;
    assert_eq!(unmarked["verdict"], "ok", "no worker sweeps: {unmarked}");
    let wanted = check(&with(env.clone(), &[("SWEEP", "delete")])).await;
    assert_eq!(wanted["verdict"], "warning");
    assert!(wanted["cure"].as_str().expect("a cure").contains("assay sweep --mark"), "{wanted}");
    marked(&env).await;
    let ours = check(&env).await;
    assert_eq!(ours["verdict"], "ok");
    assert!(ours["detail"].as_str().expect("a detail").contains("this database"), "{ours}");
    let other = other_world().await;
    let others = check(&with(env.clone(), &[("DATABASE_URL", other.database.url())])).await;
    assert_eq!(others["verdict"], "warning");
    assert!(others["cure"].as_str().expect("a cure").contains("S3_BUCKET"), "{others}");
}
