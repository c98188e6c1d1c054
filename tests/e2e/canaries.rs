//! Canaries: the results of a release are counted, and one that does worse than the active release halts itself.

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{Reply, World};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    fixtures::{Env, TRANSCRIPT, admin, with, worker},
    releases::{digest_of_new_job, done, publish, release, world},
};

/// Returns what `show` says of a release.
async fn shown(env: &Env, release: &str) -> Value {
    serde_json::from_str(&done(env, &["show", release, "--json"]).await).expect("JSON")
}

/// Returns a file whose side is the canary's where `percent` of the jobs run on one, or the other side.
async fn file_on_side(world: &World, percent: i32, canary: bool) -> Uuid {
    loop {
        let id = world.row("txt", TRANSCRIPT.len()).await;
        let on_canary: bool =
            sqlx::query_scalar("select ('x' || left(md5($1::uuid::text), 7))::bit(28)::integer % 100 < $2")
                .bind(id)
                .bind(percent)
                .fetch_one(world.database.pool())
                .await
                .expect("a side");
        if on_canary == canary {
            let key: String = sqlx::query_scalar("select storage_key_original from files where id = $1")
                .bind(id)
                .fetch_one(world.database.pool())
                .await
                .expect("a key");
            world.objects.put(&key, TRANSCRIPT).await;
            return id;
        }
    }
}

/// Returns jobs for so many files of a side.
async fn enqueue(world: &World, files: usize, canary: bool) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for _ in 0..files {
        let id = file_on_side(world, 50, canary).await;
        world.enqueue_file(id, None).await;
        ids.push(id);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_with_more_faults_or_rejections_halts_with_a_reason() {
    let (world, env) = world().await;
    let env = with(env, &[("CANARY_CHECK_MS", "100")]);
    let stable = publish(&world, &env, "stable", &WatGuest::new("stable")).await;
    let trap = hostile::rejects().prompt_version("trap").advance("(unreachable)");
    publish(&world, &env, "trap", &trap).await;
    publish(&world, &env, "picky", &hostile::rejects().prompt_version("picky")).await;
    done(&env, &["activate", "stable"]).await;
    let worker = worker(&env).await;
    let candidates = [("trap", "faults in 100.0 %"), ("picky", "rejections in 100.0 %")];
    for (before, (canary, what)) in candidates.into_iter().enumerate() {
        done(&env, &["canary", canary, "--percent", "50"]).await;
        world
            .wait_until("a job on the canary", async || {
                let id = enqueue(&world, 1, true).await[0];
                let ended = world.wait_for_file(id, |file| file.status == "succeeded" || file.status == "failed").await;
                ended.status == "failed"
            })
            .await;
        enqueue(&world, 19, true).await;
        world
            .wait_until("the halt", async || {
                let printed = shown(&env, canary).await;
                printed["changes"][0]["action"] == "halt"
            })
            .await;
        let printed = shown(&env, canary).await;
        let halt = &printed["changes"][0];
        let reason = halt["reason"].as_str().expect("a reason");
        assert!(reason.starts_with(what) && reason.contains("the active release 0.0 %"), "{reason}");
        assert!(halt["actor"].as_str().expect("a worker").contains("-"), "{halt}");
        world
            .wait_until("a line that tells it", async || {
                worker.stderr().iter().filter(|line| line.contains("canary_halted")).count() == before + 1
            })
            .await;
        world
            .wait_until("the exchange", async || {
                let id = enqueue(&world, 1, true).await[0];
                let ended = world.wait_for_file(id, |file| file.status == "succeeded" || file.status == "failed").await;
                ended.guest_digest.as_ref() == Some(&stable)
            })
            .await;
        let refused = release(&env, &["rollback"]).await.unwrap_err();
        assert!(refused.contains("would start it again"), "{refused}");
    }
    let page = reqwest::get(format!("{}/metrics", admin(&worker).await)).await.expect("the endpoint answers");
    let page = page.text().await.expect("a body");
    assert!(page.lines().any(|line| line == "assay_canaries_halted_total 2"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_counted_by_release_and_channel() {
    let (world, env) = world().await;
    world.model.always(Reply::answer("{}").usage(70, 30));
    publish(&world, &env, "stable", &WatGuest::new("stable")).await;
    publish(&world, &env, "canary", &hostile::rejects().prompt_version("canary")).await;
    done(&env, &["activate", "stable"]).await;
    done(&env, &["canary", "canary", "--percent", "50"]).await;
    // Of another channel, which runs no canary.
    done(&env, &["activate", "canary", "--channel", "other"]).await;
    world.model.push(Reply::status(500, "{}"));
    let _worker = worker(&with(env.clone(), &[("JOB_BACKOFF_MS", "1")])).await;
    let mut files = enqueue(&world, 3, false).await;
    files.extend(enqueue(&world, 2, true).await);
    for id in &files {
        world.wait_for_file(*id, |file| file.status == "succeeded" || file.status == "failed").await;
    }
    let elsewhere = file_on_side(&world, 50, true).await;
    sqlx::query("select assay_enqueue($1, channel => 'other')")
        .bind(elsewhere)
        .execute(world.database.pool())
        .await
        .expect("a job");
    world.wait_for_status(elsewhere, "failed").await;

    let printed = shown(&env, "canary").await;
    let figures = |row: &Value| {
        ["jobs", "results", "rejections", "faults", "retries", "tokens_in", "tokens_out"]
            .map(|name| row[name].as_i64().unwrap_or(-1))
    };
    let counted = printed["counted"].as_array().expect("rows");
    assert_eq!(figures(&counted[0])[..4], [3, 3, 3, 0], "in all channels: {printed}");
    assert_eq!(counted[1]["channel"], "default");
    let (canary, active) = (figures(&counted[1]), figures(&counted[2]));
    assert_eq!(canary[..4], [2, 2, 2, 0], "{printed}");
    assert_eq!(active[..4], [3, 3, 0, 0], "{printed}");
    assert_eq!(canary[4] + active[4], 1, "one attempt found the model failing: {printed}");
    assert_eq!((canary[5], canary[6], active[5], active[6]), (140, 60, 210, 90));
    assert!(counted[1]["guest_micros"].as_i64().is_some_and(|micros| micros > 0), "{printed}");
    let text = done(&env, &["show", "canary"]).await;
    assert!(text.contains("2 (100.0 %)") && text.contains("default, since its canary began"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_0_ends_the_canary_despite_a_newer_revision() {
    let (world, env) = world().await;
    publish(&world, &env, "stable", &WatGuest::new("stable")).await;
    publish(&world, &env, "one", &WatGuest::new("canary")).await;
    done(&env, &["activate", "stable"]).await;
    done(&env, &["canary", "canary", "--percent", "5"]).await;
    publish(&world, &env, "two", &WatGuest::new("canary").document("{\"second\":true}")).await;
    let printed = done(&env, &["canary", "canary", "--percent", "0"]).await;
    assert!(printed.contains("new jobs run on stable@1; before: stable@1, and 5 % of them on canary@1"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_hangs_holds_up_no_rollback() {
    let (world, env) = world().await;
    let first = publish(&world, &env, "first", &WatGuest::new("first")).await;
    let second = publish(&world, &env, "second", &WatGuest::new("second")).await;
    let third = publish(&world, &env, "third", &WatGuest::new("third")).await;
    done(&env, &["activate", "first"]).await;
    done(&env, &["activate", "second"]).await;
    // Another machine: what it has not compiled it has to fetch.
    let cache = world.folder().join("elsewhere").display().to_string();
    let _worker = worker(&with(env.clone(), &[("GUEST_CACHE_DIR", &cache), ("RELEASE_POLL_MS", "100")])).await;
    assert_eq!(digest_of_new_job(&world).await, second);
    let gate = assay_tests::Gate::new();
    let object = format!("guests/{third}.wasm");
    world.objects.fault_always(assay_tests::Operation::Get, &object, assay_tests::Fault::Stall(gate.clone()));
    done(&env, &["activate", "third"]).await;
    gate.reached().await;
    // `second` still runs. While the fetch of `third` hangs, the operator goes back twice.
    done(&env, &["rollback"]).await;
    done(&env, &["rollback"]).await;
    world.wait_until("the rollback", async || digest_of_new_job(&world).await == first).await;
    gate.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_release_serves_no_job_although_a_file_has_it() {
    let (world, _) = world().await;
    let guests = [WatGuest::new("kept"), WatGuest::new("gone")];
    let env = crate::fixtures::env_with_guests(&world, &guests);
    let env = with(env, &[("REPORT_PROMPT_VERSION", "kept"), ("RELEASE_POLL_MS", "100")]);
    publish(&world, &env, "gone", &guests[1]).await;
    let _worker = worker(&env).await;
    let named = async |version| {
        let file = world.upload("txt", TRANSCRIPT).await;
        world.enqueue_file(file, Some(version)).await;
        file
    };
    world.wait_for_status(named("gone").await, "succeeded").await;
    done(&env, &["retire", "gone"]).await;
    // The exchange takes a look of the worker; from then on jobs that name it stay where they are.
    world
        .wait_until("a job that waits", async || {
            let waiting = named("gone").await;
            for _ in 0..2 {
                world.wait_for_status(named("kept").await, "succeeded").await;
            }
            world.job(waiting).await.status == "queued"
        })
        .await;
}
