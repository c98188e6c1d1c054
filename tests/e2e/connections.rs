//! The connections of a worker to its model.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use assay_tests::{Authority, HOST, Peer, World};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::Version,
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Barrier};

use crate::fixtures::{TRANSCRIPT, answer, env, with, worker};

/// More than one connection takes.
const CALLS: usize = 70;

/// A model that answers when all calls are there.
struct Model {
    all_there: Barrier,
    seen: Mutex<HashSet<(Peer, Version)>>,
}

async fn complete(
    State(model): State<Arc<Model>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    version: Version,
    _question: Bytes,
) -> Json<Value> {
    model.seen.lock().expect("no panic").insert((peer, version));
    model.all_there.wait().await;
    let message = json!({ "role": "assistant", "content": answer().to_string() });
    Json(json!({ "choices": [{ "message": message, "finish_reason": "stop" }] }))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_over_tls_share_connections_a_bounded_number_each() {
    let world = World::start().await;
    let authority = Authority::new().expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let model = Arc::new(Model { all_there: Barrier::new(CALLS), seen: Mutex::default() });
    let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(model.clone());
    let service = router.into_make_service_with_connect_info::<Peer>();
    let listener = authority.listener(listener).expect("a listener");
    tokio::spawn(async move { axum::serve(listener, service).await });

    let env = with(
        env(&world),
        &[
            ("LLM_BASE_URL", &format!("https://{HOST}:{port}/v1")),
            ("SSL_CERT_FILE", &authority.file.display().to_string()),
            ("WORKER_CONCURRENCY", &CALLS.to_string()),
        ],
    );
    let mut files = Vec::new();
    for _ in 0..CALLS {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    let _worker = worker(&env).await;
    for file in files {
        world.wait_for_status(file, "succeeded").await;
    }
    let seen = model.seen.lock().expect("no panic").clone();
    assert!(seen.iter().all(|(_, version)| *version == Version::HTTP_2), "{seen:?}");
    assert_eq!(seen.len(), 2, "a connection takes 64 calls: {seen:?}");
}
