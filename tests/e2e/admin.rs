//! What orchestrators and Prometheus see of a worker, over real HTTP.

use std::fs;

use assay_tests::{Gate, Proxy, Reply, Signal, World, within};
use futures::future::join_all;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::fixtures::{TRANSCRIPT, admin, answer, env, with, worker};

/// Returns the status and the body of a page.
async fn page(base: &str, path: &str) -> (u16, String) {
    let response = reqwest::get(format!("{base}{path}")).await.expect("the endpoint answers");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

/// Returns the status of `/readyz`, and what it says.
async fn readiness(base: &str) -> (u16, Value) {
    let (status, body) = page(base, "/readyz").await;
    (status, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_ready_until_it_drains_and_lives_until_it_ends() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let mut worker = worker(&env(&world)).await;
    let base = admin(&worker).await;
    assert_eq!(page(&base, "/livez").await, (200, "ok\n".to_owned()));
    let (status, detail) = readiness(&base).await;
    assert_eq!((status, &detail["ready"], &detail["draining"]), (200, &Value::Bool(true), &Value::Bool(false)));

    let id = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    worker.signal(Signal::TERM);
    world.wait_until("a worker that is not ready", async || readiness(&base).await.0 == 503).await;
    let (_, detail) = readiness(&base).await;
    assert_eq!((&detail["ready"], &detail["draining"]), (&Value::Bool(false), &Value::Bool(true)));
    assert_eq!(detail["busy"], 1);
    assert_eq!(page(&base, "/livez").await.0, 200);
    gate.release();
    world.wait_for_status(id, "succeeded").await;
    assert!(worker.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_database_is_not_ready_and_lives() {
    let world = World::start().await;
    let proxy = Proxy::before(world.database.url()).await;
    let worker = worker(&with(env(&world), &[("DATABASE_URL", &proxy.url_of(world.database.url()))])).await;
    let base = admin(&worker).await;
    assert_eq!(readiness(&base).await.0, 200);
    proxy.refuse();
    proxy.cut_all();
    // A passing fault is no reason to take a worker out of service, so this takes half a minute.
    world.wait_until("a worker that is not ready", async || readiness(&base).await.0 == 503).await;
    let (_, detail) = readiness(&base).await;
    assert_eq!((&detail["ready"], &detail["draining"]), (&Value::Bool(false), &Value::Bool(false)));
    assert_eq!(page(&base, "/livez").await.0, 200, "a restart would not bring the database back");
    proxy.forward();
    world.wait_until("a worker that is ready again", async || readiness(&base).await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_count_a_success_and_a_failure() {
    let world = World::start().await;
    world.model.push(Reply::json(&answer()).usage(100, 30));
    world.model.push(Reply::answer("no JSON").usage(20, 7));
    let worker = worker(&env(&world)).await;
    let base = admin(&worker).await;
    let succeeds = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(succeeds, "succeeded").await;
    let fails = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(fails, "failed").await;

    let metrics = async || page(&base, "/metrics").await.1;
    let has = |text: &str, line: &str| text.lines().any(|found| found == line);
    // The last that is counted of a job, after its rows were written; slots are looked at when one is free.
    let counted = async || {
        let text = metrics().await;
        has(&text, "assay_job_duration_seconds_count 2") && has(&text, "assay_slots{state=\"busy\"} 0")
    };
    world.wait_until("the count of two jobs", counted).await;
    let text = metrics().await;
    for line in [
        "assay_claims_total 2",
        "assay_outcomes_total{outcome=\"succeeded\",code=\"\"} 1",
        "assay_outcomes_total{outcome=\"failed\",code=\"schema_validation_failed\"} 1",
        "assay_model_calls_total{code=\"ok\"} 2",
        "assay_model_tokens_total{direction=\"input\",bought=\"answer\"} 120",
        "assay_model_tokens_total{direction=\"output\",bought=\"answer\"} 37",
        "assay_model_latency_seconds_count 2",
        "assay_pickup_lag_seconds_count 2",
        "assay_guest_time_seconds_count{prompt_version=\"meeting-v1\"} 4",
        "assay_lost_leases_total 0",
        "assay_slots{state=\"total\"} 4",
    ] {
        assert!(has(&text, line), "{line} is missing in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_end_and_keep_no_probe_waiting() {
    let world = World::start().await;
    let worker = worker(&env(&world)).await;
    let base = admin(&worker).await;
    let open_files = || fs::read_dir(format!("/proc/{}/fd", worker.id())).expect("a living process").count();
    let before = open_files();
    let half_sent = (0..200).map(async |_| {
        let mut client = TcpStream::connect(base.trim_start_matches("http://")).await.expect("a connection");
        client.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").await.expect("half a request");
        client
    });
    let clients = join_all(half_sent).await;
    assert_eq!(page(&base, "/livez").await, (200, "ok\n".to_owned()));
    let more = open_files().saturating_sub(before);
    assert!(more < 48, "{more} more files for 32 connections and what else a worker opens");
    let closed = clients.into_iter().map(async |mut client| {
        // One that is closed with bytes unread is reset.
        let _ = client.read_to_end(&mut Vec::new()).await;
    });
    within("the end of every connection", join_all(closed)).await;
}
