//! Health and metrics over HTTP, for orchestrators and Prometheus.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Json, Router, extract::State as Shared, http::StatusCode, routing::get};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    bounded_http::{HttpLimits, serve},
    breakers::Breakers,
    guests::loaded_guests::Guests,
    metrics::Metrics,
    worker::state::WorkerState,
};

/// How long claims or heartbeats may fail before the worker is not ready.
const UNREADY_AFTER: Duration = Duration::from_secs(30);

/// More than the probes and scrapers of one worker, and few beside its file descriptors.
const LIMITS: HttpLimits = HttpLimits { connections: 32, request_head: Duration::from_secs(10) };

/// The admin endpoints, and the parts that they show.
#[derive(Clone)]
pub struct Admin {
    pub metrics: Metrics,
    pub guests: Guests,
    pub breakers: Breakers,
    pub worker: Arc<Mutex<WorkerState>>,
}

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    /// When the address is taken or is not of this machine.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
        TcpListener::bind(address).await.with_context(|| format!("ADMIN_ADDR: listen on {address}"))
    }

    /// Serves until the process ends.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        let router = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(|Shared(admin): Shared<Self>| async move { admin.metrics.encode() }))
            .with_state(self);
        serve(listener, router, LIMITS).await
    }

    fn readiness(&self) -> (bool, Value) {
        let state = self.worker.lock().clone();
        let claims_failing = state.claims_failing_since.map(|since| since.elapsed());
        let beats_failing = state.beats_failing_since.map(|since| since.elapsed());
        let is_short = |failing: Option<Duration>| failing.is_none_or(|time| time < UNREADY_AFTER);
        let loaded = self.guests.loaded();
        let ready = !state.draining && is_short(claims_failing) && is_short(beats_failing) && !loaded.is_empty();
        let detail = json!({
            "ready": ready,
            "draining": state.draining,
            "busy": state.busy,
            "claims_failing_seconds": claims_failing.map(|time| time.as_secs()),
            "beats_failing_seconds": beats_failing.map(|time| time.as_secs()),
            // These two do not make the worker unready: a restart would change no policy and close no breaker.
            "row_security_hides": state.row_security_hides,
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
