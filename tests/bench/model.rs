//! A model that costs nothing: one fixed answer, at once or after a while.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use assay_tests::{Authority, HOST};
use axum::{Router, body::Bytes, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::post};
use serde_json::json;
use tokio::net::TcpListener;

use crate::talk::report;

#[derive(Debug)]
pub struct Model {
    /// For `LLM_BASE_URL`.
    pub base_url: String,
    /// For `SSL_CERT_FILE`, with TLS.
    pub certificate: Option<PathBuf>,
    counters: Arc<Counters>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Counters {
    latency: Duration,
    answer: Bytes,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

impl Model {
    /// Starts one that answers after `latency`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(latency: Duration) -> anyhow::Result<Self> {
        Self::start_with(latency, None).await
    }

    /// Starts one, with TLS where there is an authority.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_with(latency: Duration, authority: Option<&Authority>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let base_url = match authority {
            None => format!("http://{address}/v1"),
            Some(_) => format!("https://{HOST}:{}/v1", address.port()),
        };
        let counters = Arc::new(Counters {
            latency,
            answer: completion(),
            in_flight: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(counters.clone());
        // Each ends with the listener, and that with the bench.
        let serving = match authority {
            None => tokio::spawn(async move { _ = axum::serve(listener, router).await }),
            Some(authority) => {
                let listener = authority.listener(listener)?;
                tokio::spawn(async move { _ = axum::serve(listener, router).await })
            }
        };
        let certificate = authority.map(|authority| authority.file.clone());
        Ok(Self { base_url, certificate, counters, serving })
    }

    /// Returns the most requests that were waiting at the same time.
    pub fn most_in_flight(&self) -> usize {
        self.counters.most.load(Ordering::Relaxed)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(counters): State<Arc<Counters>>, _question: Bytes) -> impl IntoResponse {
    let now = counters.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    counters.most.fetch_max(now, Ordering::Relaxed);
    if !counters.latency.is_zero() {
        tokio::time::sleep(counters.latency).await;
    }
    counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    ([(CONTENT_TYPE, "application/json")], counters.answer.clone())
}

/// Returns the answer as a provider sends it.
fn completion() -> Bytes {
    let completion = json!({
        "id": "bench", "object": "chat.completion", "created": 0, "model": "bench",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": report() } }],
        "usage": { "prompt_tokens": 1600, "completion_tokens": 1500, "total_tokens": 3100 }
    });
    completion.to_string().into()
}
