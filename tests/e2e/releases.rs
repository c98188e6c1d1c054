//! Guests as releases: published, activated, tried on a share of the jobs and taken back while workers run.

use std::{fs, path::PathBuf};

use assay_runtime::{Digest, testing::WatGuest};
use assay_tests::{AssayProcess, Gate, Reply, World};
use serde_json::Value;

use crate::fixtures::{Env, TRANSCRIPT, admin, env_with_guests, with, worker};

/// Returns a world whose workers have a guest of their own, and where every answer is good.
pub async fn world() -> (World, Env) {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let env = env_with_guests(&world, &[WatGuest::new("from-file")]);
    (world, env)
}

/// Returns a component in a file.
fn component(world: &World, name: &str, guest: &WatGuest) -> (PathBuf, String) {
    let bytes = guest.build();
    let path = world.folder().join(format!("{name}.wasm"));
    fs::write(&path, &bytes).expect("a file");
    (path, Digest::of(&bytes).to_string())
}

/// Runs `assay release …` and returns what it printed, or how it was refused.
pub async fn release(env: &Env, arguments: &[&str]) -> Result<String, String> {
    let mut process = AssayProcess::spawn(&[&["release"], arguments].concat(), env);
    let ok = process.wait().await.success();
    let (stdout, stderr) = (process.stdout().join("\n"), process.stderr().join("\n"));
    if ok { Ok(stdout) } else { Err(format!("{stdout}{stderr}")) }
}

pub async fn done(env: &Env, arguments: &[&str]) -> String {
    release(env, arguments).await.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

async fn listed(env: &Env) -> Value {
    serde_json::from_str(&done(env, &["list", "--json"]).await).expect("JSON")
}

/// Publishes a guest and returns its digest.
pub async fn publish(world: &World, env: &Env, name: &str, guest: &WatGuest) -> String {
    let (path, digest) = component(world, name, guest);
    let output = done(env, &["publish", &path.display().to_string(), "--json"]).await;
    let output: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(output["digest"], digest);
    digest
}

/// Returns the digest that a new file's job ran on.
pub async fn digest_of_new_job(world: &World) -> String {
    let id = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(id, "succeeded").await.guest_digest.expect("a job that ran has a digest")
}

#[tokio::test(flavor = "multi_thread")]
async fn activation_and_rollback_need_no_restart() {
    let (world, env) = world().await;
    let worker = worker(&env).await;
    let from_file = digest_of_new_job(&world).await;

    let first = publish(&world, &env, "first", &WatGuest::new("first")).await;
    let second = publish(&world, &env, "second", &WatGuest::new("second")).await;
    assert_eq!(digest_of_new_job(&world).await, from_file, "nothing runs on what is only published");
    for (version, digest) in [("first", &first), ("second", &second)] {
        let output = done(&env, &["activate", version, "--reason", "it is better"]).await;
        assert!(output.starts_with(&format!("channel default: new jobs run on {version}@1; before: ")), "{output}");
        worker.wait_for_line(digest).await;
        world.wait_until("the exchange", async || digest_of_new_job(&world).await == *digest).await;
    }
    done(&env, &["rollback"]).await;
    world.wait_until("the first rollback", async || digest_of_new_job(&world).await == first).await;
    done(&env, &["rollback"]).await;
    world.wait_until("the second rollback", async || digest_of_new_job(&world).await == from_file).await;
    let refused = release(&env, &["rollback"]).await.unwrap_err();
    assert!(refused.contains("there is no change to undo"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stays_on_the_release_it_began_with_though_retired() {
    let (world, env) = world().await;
    let gate = Gate::new();
    world.model.push(Reply::status(500, "{}").held(&gate));
    let first = publish(&world, &env, "first", &WatGuest::new("first")).await;
    let second = publish(&world, &env, "second", &WatGuest::new("second")).await;
    done(&env, &["activate", "first"]).await;
    let worker = worker(&with(env.clone(), &[("JOB_BACKOFF_MS", "3600000")])).await;
    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    done(&env, &["activate", "second"]).await;
    done(&env, &["retire", "first"]).await;
    gate.release();
    let job = world.wait_for_job(id, |job| job.last_error_code.is_some()).await;
    assert_eq!(job.guest_digest.as_deref(), Some(first.as_str()));
    worker.wait_for_line("channel exchanged").await;
    let deleted = sqlx::query("delete from guest_releases where digest = $1").bind(&first);
    let refused = deleted.execute(world.database.pool()).await.unwrap_err().to_string();
    assert!(refused.contains("live jobs have pinned"), "{refused}");

    world.make_due(id).await;
    assert_eq!(world.wait_for_status(id, "succeeded").await.guest_digest, Some(first.clone()));
    world.wait_until("the exchange", async || digest_of_new_job(&world).await == second).await;
    let refused = release(&env, &["activate", "first"]).await.unwrap_err();
    assert!(refused.contains("first@1 was retired"), "{refused}");
    sqlx::query("delete from guest_releases where digest = $1")
        .bind(&first)
        .execute(world.database.pool())
        .await
        .expect("its jobs have ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_takes_its_share_by_file_ids_and_can_be_promoted() {
    let (world, env) = world().await;
    let stable = publish(&world, &env, "stable", &WatGuest::new("stable")).await;
    let canary = publish(&world, &env, "canary", &WatGuest::new("canary")).await;
    let refused = release(&env, &["canary", "canary", "--percent", "50"]).await.unwrap_err();
    assert!(refused.contains("no active release"), "{refused}");
    done(&env, &["activate", "stable"]).await;
    let output = done(&env, &["canary", "canary", "--percent", "50"]).await;
    assert!(output.contains("stable@1, and 50 % of them on canary@1"), "{output}");
    let _worker = worker(&env).await;
    let mut seen = [false, false];
    for _ in 0..24 {
        let id = world.enqueue(TRANSCRIPT).await;
        let ran = world.wait_for_status(id, "succeeded").await.guest_digest;
        let side: bool =
            sqlx::query_scalar("select ('x' || left(md5($1::uuid::text), 7))::bit(28)::integer % 100 < 50")
                .bind(id)
                .fetch_one(world.database.pool())
                .await
                .expect("a side");
        assert_eq!(ran.as_ref(), Some(if side { &canary } else { &stable }));
        seen[usize::from(side)] = true;
    }
    assert_eq!(seen, [true, true], "24 files lie on both sides, but once in eight million runs");
    done(&env, &["promote"]).await;
    world
        .wait_until("no file on the other side", async || {
            let mut ran = Vec::new();
            for _ in 0..4 {
                ran.push(digest_of_new_job(&world).await);
            }
            ran.iter().all(|digest| *digest == canary)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_fails_to_load_replaces_no_working_one() {
    let (world, env) = world().await;
    let good = publish(&world, &env, "good", &WatGuest::new("good")).await;
    let broken = publish(&world, &env, "broken", &WatGuest::new("broken")).await;
    world.objects.put(&format!("guests/{broken}.wasm"), "no component").await;
    done(&env, &["activate", "good"]).await;
    // Another machine: what it has not compiled it has to fetch.
    let cache = world.folder().join("elsewhere").display().to_string();
    let worker = worker(&with(env.clone(), &[("GUEST_CACHE_DIR", &cache), ("WORKER_BEAT_MS", "200")])).await;
    assert_eq!(digest_of_new_job(&world).await, good);
    done(&env, &["activate", "broken"]).await;
    worker.wait_for_line("release does not load").await;
    assert_eq!(digest_of_new_job(&world).await, good);

    let base = admin(&worker).await;
    let page = async |path: &str| {
        let answer = reqwest::get(format!("{base}{path}")).await.expect("the endpoint answers");
        answer.text().await.expect("a body")
    };
    world
        .wait_until("a metric that shows it", async || {
            page("/metrics").await.lines().any(|line| line == "assay_releases_refused 1")
        })
        .await;
    let ready: Value = serde_json::from_str(&page("/readyz").await).expect("JSON");
    assert_eq!(ready["ready"], true);
    assert!(ready["releases_not_loaded"][&broken].as_str().is_some_and(|reason| reason.contains("bytes")), "{ready}");
    world
        .wait_until("a beat that shows it", async || {
            let list = listed(&env).await;
            let releases = list["workers"][0]["releases"].as_array().cloned().unwrap_or_default();
            releases.iter().any(|release| release["digest"] == broken.as_str() && release["refused"].is_string())
        })
        .await;
    let output = done(&env, &["list"]).await;
    assert!(output.contains("load failed: "), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_load_a_release_leaves_its_jobs() {
    let (world, env) = world().await;
    let broken = publish(&world, &env, "broken", &WatGuest::new("broken")).await;
    let object = format!("guests/{broken}.wasm");
    let bytes = world.objects.get(&object).await.expect("it was published");
    world.objects.put(&object, "no component").await;
    done(&env, &["activate", "broken"]).await;
    let cache = world.folder().join("elsewhere").display().to_string();
    let worker = worker(&with(env.clone(), &[("GUEST_CACHE_DIR", &cache), ("RELEASE_POLL_MS", "100")])).await;
    worker.wait_for_line("channel has no release here").await;
    let id = world.enqueue(TRANSCRIPT).await;
    // A job of a channel without releases of its own shows that the worker has looked at the queue meanwhile.
    let other = world.upload("txt", TRANSCRIPT).await;
    sqlx::query("select assay_enqueue($1, channel => 'other')")
        .bind(other)
        .execute(world.database.pool())
        .await
        .expect("a job");
    world.wait_for_status(other, "succeeded").await;
    assert_eq!(world.job(id).await.status, "queued");
    // Polling finds out that it loads by now.
    world.objects.put(&object, bytes).await;
    assert_eq!(world.wait_for_status(id, "succeeded").await.guest_digest, Some(broken));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_under_a_published_version_are_a_revision_beside_the_first() {
    let (world, env) = world().await;
    let first = publish(&world, &env, "one", &WatGuest::new("minutes")).await;
    let (path, _) = component(&world, "one", &WatGuest::new("minutes"));
    let output = done(&env, &["publish", &path.display().to_string()]).await;
    assert!(output.contains("minutes@1") && output.contains("nothing changed"), "{output}");
    let second = publish(&world, &env, "two", &WatGuest::new("minutes").document("{\"second\":true}")).await;
    let list = listed(&env).await;
    let revisions: Vec<_> = list["releases"].as_array().expect("releases").iter().collect();
    let of =
        |digest: &str| revisions.iter().find(|row| row["digest"] == digest).expect("a release")["revision"].clone();
    assert_eq!((of(&first), of(&second)), (Value::from(1), Value::from(2)));

    // Who names the version gets its first revision, until another one is active.
    let _worker = worker(&env).await;
    let named = async || {
        let file = world.upload("txt", TRANSCRIPT).await;
        world.enqueue_file(file, Some("minutes")).await;
        world.wait_for_status(file, "succeeded").await.guest_digest.expect("a digest")
    };
    assert_eq!(named().await, first);
    done(&env, &["activate", "minutes@2"]).await;
    world.wait_until("the exchange", async || named().await == second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_and_what_was_changed_is_in_the_audit() {
    let (world, env) = world().await;
    let nonsense = world.folder().join("nonsense.wasm");
    fs::write(&nonsense, "\0asm and no more").expect("a file");
    let refused = release(&env, &["publish", &nonsense.display().to_string()]).await.unwrap_err();
    assert!(refused.contains("FAILED") && refused.contains("breaks a rule of admission"), "{refused}");
    assert_eq!(listed(&env).await["releases"], Value::Array(Vec::new()));

    publish(&world, &env, "one", &WatGuest::new("one")).await;
    let mut other = WatGuest::new("two");
    other = other.schema_version("other.v2");
    publish(&world, &env, "two", &other).await;
    done(&env, &["activate", "one", "--by", "anna", "--reason", "the first"]).await;
    for (arguments, why) in [
        (&["activate", "one"][..], "nothing would change"),
        (&["activate", "two"], "--allow-schema-change"),
        (&["activate", "three"], "is not published"),
        (&["canary", "one", "--percent", "5"], "expected another release as canary or shadow"),
        (&["canary", "two", "--percent", "5"], "--allow-schema-change"),
        (&["promote"], "has no canary"),
        (&["retire", "one"], "a channel runs it"),
    ] {
        let refused = release(&env, arguments).await.expect_err(why);
        assert!(refused.contains(why), "{arguments:?}: {refused}");
    }
    done(&env, &["activate", "two", "--allow-schema-change", "--by", "ben"]).await;
    done(&env, &["retire", "one", "--by", "ben", "--reason", "old"]).await;
    let output: Value = serde_json::from_str(&done(&env, &["show", "one", "--json"]).await).expect("JSON");
    let changes = output["changes"].as_array().expect("changes").iter();
    let changes: Vec<_> = changes.map(|change| [&change["action"], &change["actor"], &change["reason"]]).collect();
    let tail = changes[..3].iter().map(|line| line.map(|value| value.as_str().unwrap_or_default())).collect::<Vec<_>>();
    assert_eq!(tail, [["retire", "ben", "old"], ["activate", "ben", ""], ["activate", "anna", "the first"]]);
    assert_eq!(changes[3][0], "publish");
}
