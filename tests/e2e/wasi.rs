//! Guests that import WASI, in a real worker: let in only where the operator says so, and with nothing in it for them.

use assay_runtime::testing::{WatGuest, wasi};
use assay_tests::{AssayProcess, Reply, World};

use crate::fixtures::{TRANSCRIPT, env, env_with_guests, object, with, worker};

const GOOD: &str = "good";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_wasi_by_default() {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let env = env_with_guests(&world, &[WatGuest::new(GOOD), wasi::reads_the_environment()]);
    let worker = worker(&with(env, &[("REPORT_PROMPT_VERSION", GOOD)])).await;
    let line = worker.wait_for_line("guest does not load").await;
    assert!(line.contains("it imports WASI") && line.contains("GUEST_WASI=deny-all"), "{line}");
    let id = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(id, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_deny_all_a_guest_cannot_sleep_and_finds_nothing() {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let guests = [
        WatGuest::new(GOOD),
        wasi::sleeps(),
        wasi::opens_a_connection(),
        wasi::reads_the_environment(),
        wasi::reports_random_numbers(),
    ];
    let env =
        with(env_with_guests(&world, &guests), &[("GUEST_WASI", "deny-all"), ("GUEST_CALL_TIMEOUT_MS", "86400000")]);
    let _worker = worker(&env).await;

    let enqueue = async |version: &str| {
        let id = world.upload("txt", TRANSCRIPT).await;
        world.enqueue_file(id, Some(version)).await;
        id
    };
    let report = async |id| {
        let key = world.wait_for_status(id, "succeeded").await.storage_key_report.expect("the key of the report");
        wasi::numbers_in(object(&world, &key).await.as_str().expect("what the guest said"))
    };
    // More sleepers than there are threads for guests; each would hold one for a day.
    let mut denied = Vec::new();
    for version in ["sleeps", "opens-a-connection"].repeat(8) {
        denied.push(enqueue(version).await);
    }
    let first = enqueue("reports-random-numbers").await;
    let second = enqueue("reports-random-numbers").await;
    let environment = enqueue("reads-the-environment").await;
    let good = enqueue(GOOD).await;
    for id in denied {
        let file = world.wait_for_status(id, "failed").await;
        assert_eq!(file.error_code.as_deref(), Some("guest_trap"));
        assert_eq!(world.job(id).await.attempts, 1, "the same input traps again");
    }
    world.wait_for_status(good, "succeeded").await;
    assert_eq!(report(environment).await, [0, 0, 0], "not one variable of the worker's");
    assert_eq!(report(first).await, report(second).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_value_for_wasi_is_a_configuration_error() {
    let world = World::start().await;
    let mut process = AssayProcess::spawn(&["worker"], &with(env(&world), &[("GUEST_WASI", "all")]));
    assert_eq!(process.wait().await.code(), Some(64));
    process.wait_for_line("invalid GUEST_WASI `all`: expected off or deny-all").await;
}
