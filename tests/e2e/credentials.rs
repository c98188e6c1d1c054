//! Keys of the object store: static ones with a session, AWS's names, and roles that give keys for a while.

use std::time::Duration;

use assay_dev::Keys;
use assay_tests::{AssayProcess, Fault, Operation, Reply, RoleServer, World};
use serde_json::Value;

use crate::fixtures::{Env, TRANSCRIPT, answer, env, with, worker};

/// Returns other keys each time.
fn keys() -> Keys {
    Keys { access: format!("AKIA{:016X}", rand::random::<u64>()), ..Keys::random() }
}

/// Returns the environment without keys of the object store.
fn without_keys(world: &World) -> Env {
    with(env(world), &[("S3_ACCESS_KEY_ID", ""), ("S3_SECRET_ACCESS_KEY", "")])
}

/// Returns verdict, detail and fix of the bucket, as `assay check` tells them.
async fn bucket(env: &Env) -> [String; 3] {
    let mut check = AssayProcess::spawn(&["check", "--json"], env);
    check.wait().await;
    let document: Value = serde_json::from_str(&check.stdout().join("\n")).expect("a document");
    let row = document["checks"].as_array().into_iter().flatten().find(|row| row["name"] == "bucket").expect("a row");
    ["verdict", "detail", "cure"].map(|member| row[member].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_a_container_is_renewed_before_its_keys_end() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let mut current = keys();
    let bucket = world.objects.bucket();
    bucket.accept(std::slice::from_ref(&current));
    // The SDK renews keys some seconds before their end.
    let lifetime = Duration::from_secs(12);
    let roles = RoleServer::start(&current, lifetime).await;
    let _worker =
        worker(&with(without_keys(&world), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &roles.address())])).await;
    for round in 2..4 {
        let next = keys();
        // Those that were given last hold until their end.
        bucket.accept(&[current, next.clone()]);
        roles.give(&next, lifetime);
        // Keys are renewed when they are used near their end.
        while roles.asked() < round {
            let file = world.enqueue(TRANSCRIPT).await;
            world.wait_for_status(file, "succeeded").await;
            assert_eq!(world.job(file).await.attempts, 1);
        }
        bucket.accept(std::slice::from_ref(&next));
        let file = world.enqueue(TRANSCRIPT).await;
        world.wait_for_status(file, "succeeded").await;
        assert_eq!(world.job(file).await.attempts, 1);
        current = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_role_that_end_before_their_time_hold_jobs_until_there_are_others() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let (first, second) = (keys(), keys());
    world.objects.bucket().accept(std::slice::from_ref(&first));
    let roles = RoleServer::start(&first, Duration::from_secs(3600)).await;
    let env =
        with(without_keys(&world), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &roles.address()), ("JOB_HOLD_MS", "300")]);
    let _worker = worker(&env).await;
    let file = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(file, "succeeded").await;
    roles.give(&second, Duration::from_secs(3600));
    world.objects.bucket().accept(std::slice::from_ref(&second));
    let files = [world.enqueue(TRANSCRIPT).await, world.enqueue(TRANSCRIPT).await];
    for file in files {
        world.wait_for_status(file, "succeeded").await;
        assert_eq!(world.job(file).await.attempts, 1, "no attempt was lost to a refused key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_gives_keys_and_a_refused_role_is_told() {
    let world = World::start().await;
    let given = keys();
    world.objects.bucket().accept(std::slice::from_ref(&given));
    let roles = RoleServer::start(&given, Duration::from_secs(3600)).await;
    let token = world.folder().join("token");
    std::fs::write(&token, "a token of the cluster").expect("a file");
    let env = with(
        without_keys(&world),
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token.display().to_string()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reports"),
            ("AWS_ENDPOINT_URL_STS", &roles.address()),
        ],
    );
    let [verdict, detail, _] = bucket(&env).await;
    assert_eq!(verdict, "ok", "{detail}");
    roles.refuse();
    let [verdict, detail, fix] = bucket(&env).await;
    assert_eq!((verdict.as_str(), detail.contains("AWS refused the role")), ("failed", true), "{detail}");
    assert!(fix.contains("AWS_ROLE_ARN"), "{fix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_and_an_absent_role_are_told_as_such() {
    let world = World::start().await;
    let session = with(env(&world), &[("S3_SESSION_TOKEN", "session")]);
    let [verdict, detail, _] = bucket(&session).await;
    assert_eq!(verdict, "ok", "{detail}");
    world.objects.fault_always(Operation::Put, "", Fault::Status { status: 400, code: "ExpiredToken" });
    let [verdict, detail, fix] = bucket(&session).await;
    assert_eq!((verdict.as_str(), detail.contains("session of the keys has ended")), ("failed", true), "{detail}");
    assert!(fix.contains("S3_SESSION_TOKEN"), "{fix}");
    // Nobody answers as an instance would.
    let nobody = with(without_keys(&world), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")]);
    let [verdict, detail, fix] = bucket(&nobody).await;
    assert_eq!((verdict.as_str(), detail.contains("no keys: ")), ("failed", true), "{detail}");
    assert!(!fix.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_names_give_the_keys_where_assays_own_are_absent() {
    let world = World::start().await;
    let given = world.objects.credentials().clone();
    let aws = [("AWS_ACCESS_KEY_ID", &*given.access), ("AWS_SECRET_ACCESS_KEY", &*given.secret)];
    let [verdict, detail, _] = bucket(&with(without_keys(&world), &aws)).await;
    assert_eq!(verdict, "ok", "{detail}");
    let wrong = [("AWS_ACCESS_KEY_ID", "other"), ("AWS_SECRET_ACCESS_KEY", "other")];
    let [verdict, detail, _] = bucket(&with(env(&world), &wrong)).await;
    assert_eq!(verdict, "ok", "Assay's own come first: {detail}");
}
