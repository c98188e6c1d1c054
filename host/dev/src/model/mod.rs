//! The stand-in model: OpenAI's Chat Completions over HTTP, answered by a program.
//!
//! It exists so that `assay dev`, the demo and the bench run without a model and without a key. It is no model and says so: in its name, in
//! `system_fingerprint`, and in the log. Its answers satisfy whatever JSON Schema a question carries, made of sentences that stand in the
//! transcript, so that a report reads sensibly. The same question gets the same answer.
//!
//! A line in the transcript makes it misbehave ([`markers`]).

mod answer;
mod generate;
mod kind;
mod markers;
mod schema;
mod transcript;
mod voice;
mod wire;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use parking_lot::Mutex;

use crate::serve::{Body, HttpServer, boxed};
use answer::Outcome;
pub use schema::Schema;
use wire::{ApiError, ChatRequest};

/// The name under which the stand-in shows.
pub const MODEL: &str = "stand-in";

/// The largest question, in bytes: far above what a worker may send.
const LARGEST_QUESTION: usize = 64 << 20;

/// Compiled schemas that are kept. A worker asks with a handful.
const SCHEMAS_KEPT: usize = 256;

/// How the stand-in behaves.
#[derive(Clone, Default)]
pub struct StandInOptions {
    /// TCP port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// The bearer key to ask for; `None` takes any or none.
    pub key: Option<String>,
    /// How long an answer takes.
    pub latency: Duration,
}

impl std::fmt::Debug for StandInOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.key.as_ref().map(|_| "…");
        f.debug_struct("StandInOptions")
            .field("port", &self.port)
            .field("key", &key)
            .field("latency", &self.latency)
            .finish()
    }
}

/// A running stand-in. Dropping it ends it at once.
#[derive(Debug)]
pub struct StandIn {
    server: HttpServer,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    options: StandInOptions,
    calls: AtomicU64,
    schemas: Mutex<HashMap<u64, Option<Arc<Schema>>>>,
    /// Questions that were turned away once, by their hash.
    turned_away: Mutex<HashSet<u64>>,
}

impl StandIn {
    /// Starts the server.
    ///
    /// # Errors
    /// Where the port is taken.
    pub async fn start(options: StandInOptions) -> Result<Self> {
        let state = Arc::new(State {
            calls: AtomicU64::new(0),
            schemas: Mutex::default(),
            turned_away: Mutex::default(),
            options,
        });
        let server = HttpServer::start(state.options.port, {
            let state = Arc::clone(&state);
            move |request| Arc::clone(&state).serve(request)
        })?;
        tracing::info!(address = %server.address(), "stand-in model is listening: its answers are made by a program");
        Ok(Self { server, state })
    }

    /// What goes into `LLM_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Chat completions asked for so far, those turned away included.
    pub fn calls(&self) -> u64 {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// Ends the server after the requests in hand, within a few seconds.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl State {
    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let reply = self.route(request).await;
        let (status, body, retry_after) = match reply {
            Ok(body) => (StatusCode::OK, body, None),
            Err(error) => (error.status, error.body(), error.retry_after),
        };
        let mut response = Response::new(boxed(Full::new(Bytes::from(body))));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(delay) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs()));
        }
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Result<String, ApiError> {
        if let Some(key) = &self.options.key {
            let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            if given.and_then(|value| value.strip_prefix("Bearer ")) != Some(key) {
                return Err(ApiError::unauthorized());
            }
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/models") => Ok(wire::models()),
            (&Method::GET, path) if path.strip_prefix("/v1/models/") == Some(MODEL) => Ok(wire::model().to_string()),
            (&Method::POST, "/v1/chat/completions") => {
                let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
                self.complete(request, call).await
            }
            (_, "/v1/chat/completions" | "/v1/models") => Err(ApiError::method_not_allowed()),
            _ => Err(ApiError::unknown_path()),
        }
    }

    async fn complete(&self, request: Request<Incoming>, call: u64) -> Result<String, ApiError> {
        let bytes = Limited::new(request.into_body(), LARGEST_QUESTION)
            .collect()
            .await
            .map_err(|_| ApiError::unreadable())?
            .to_bytes();
        let question = ChatRequest::parse(&bytes)?;
        let outcome = answer::answer(
            &question,
            |schema| self.schema(schema),
            |question| self.turned_away.lock().insert(question),
        );
        drop(bytes);
        if !self.options.latency.is_zero() {
            tokio::time::sleep(self.options.latency).await;
        }
        match outcome? {
            Outcome::Completion(completion) => Ok(completion.body(call)),
            Outcome::TurnedAway => Err(ApiError::rate_limited()),
        }
    }

    /// The compiled schema; `None` where it is none.
    fn schema(&self, schema: &serde_json::Value) -> Option<Arc<Schema>> {
        let key = answer::hash(schema.to_string().as_bytes());
        if let Some(known) = self.schemas.lock().get(&key) {
            return known.clone();
        }
        let compiled = Schema::compile(schema).ok().map(Arc::new);
        let mut schemas = self.schemas.lock();
        if schemas.len() >= SCHEMAS_KEPT {
            schemas.clear();
        }
        schemas.insert(key, compiled.clone());
        compiled
    }
}
