//! Health and metrics over HTTP, for orchestrators and Prometheus. No logic: it shows what the parts know.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Json, Router, extract::State as Shared, http::StatusCode, routing::get};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{breakers::Breakers, guests::Guests, metrics::Metrics, worker::WorkerState};

/// How long claims or beats may fail before the worker calls itself not ready.
const UNREADY_AFTER: Duration = Duration::from_secs(30);

/// What the endpoints show.
#[derive(Clone)]
pub struct Admin {
    /// What is counted.
    pub metrics: Metrics,
    /// What is served.
    pub guests: Guests,
    /// What is not called at the moment.
    pub breakers: Breakers,
    /// What the worker does.
    pub worker: Arc<Mutex<WorkerState>>,
}

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    /// When the address is taken or not ours, naming the variable.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
        TcpListener::bind(address).await.with_context(|| format!("ADMIN_ADDR: listen on {address}"))
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let router = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(|Shared(admin): Shared<Self>| async move { admin.metrics.encode() }))
            .with_state(self);
        axum::serve(listener, router).await
    }

    fn readiness(&self) -> (bool, Value) {
        let state = self.worker.lock().clone();
        let failing = state.claims_failing_since.map(|since| since.elapsed());
        let beatless = state.beats_failing_since.map(|since| since.elapsed());
        let passing = |failing: Option<Duration>| failing.is_none_or(|time| time < UNREADY_AFTER);
        let loaded = self.guests.loaded();
        let ready = !state.draining && passing(failing) && passing(beatless) && !loaded.is_empty();
        let detail = json!({
            "ready": ready,
            "draining": state.draining,
            "busy": state.busy,
            "claims_failing_seconds": failing.map(|time| time.as_secs()),
            "beats_failing_seconds": beatless.map(|time| time.as_secs()),
            // No reason to call the worker not ready: to start another one would not bring them back.
            "breakers": self.breakers.open(),
            "guests": loaded,
            "guests_not_loaded": self.guests.not_loaded(),
            "releases_not_loaded": self.guests.refused(),
        });
        (ready, detail)
    }
}

async fn readyz(Shared(admin): Shared<Admin>) -> (StatusCode, Json<Value>) {
    let (ready, detail) = admin.readiness();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(detail))
}
