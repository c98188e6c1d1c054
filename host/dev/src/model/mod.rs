//! The stand-in model: OpenAI's Chat Completions over HTTP, answered by a program.
//!
//! `assay dev`, the demo and the bench run on it without a model and without a key. It says that it is no model: in its name, in
//! `system_fingerprint`, and in the log. Its answers satisfy the JSON Schema of the question and are made of sentences of the transcript.
//! The same question gets the same answer. A line in the transcript makes it misbehave ([`directives`]).

mod answer;
mod directives;
mod generate;
mod property_kind;
mod schema;
mod text_source;
mod transcript;
mod wire;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use parking_lot::Mutex;

use crate::serve::{Body, HttpServer, boxed};
pub use schema::Schema;
pub use wire::MODEL;
use wire::{ApiError, ChatRequest};

/// A worker asks with a handful.
const MAX_CACHED_SCHEMAS: usize = 256;

const RETRY_AFTER_SECONDS: u16 = 1;

/// How the stand-in behaves. Without `Debug`, because the key is a secret.
#[derive(Clone, Default)]
pub struct StandInOptions {
    /// TCP port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// The bearer key that requests must carry. With `None`, requests need no key.
    pub key: Option<String>,
    /// How long an answer takes.
    pub latency: Duration,
}

/// A running stand-in. Dropping it ends it at once.
pub struct StandIn {
    server: HttpServer,
    service: Arc<Service>,
}

struct Service {
    options: StandInOptions,
    calls: AtomicU64,
    /// Compiled schemas by their text; `None` if a text is not a schema.
    schemas: Mutex<HashMap<String, Option<Arc<Schema>>>>,
    /// Hashes of questions that got a 429.
    rate_limited: Mutex<HashSet<u64>>,
}

impl StandIn {
    /// Starts the server.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start(options: StandInOptions) -> Result<Self> {
        let port = options.port;
        let service = Arc::new(Service {
            options,
            calls: AtomicU64::new(0),
            schemas: Mutex::default(),
            rate_limited: Mutex::default(),
        });
        let server = HttpServer::start(port, {
            let service = Arc::clone(&service);
            move |request| Arc::clone(&service).serve(request)
        })?;
        tracing::info!(address = %server.address(), "stand-in model is listening: its answers are made by a program");
        Ok(Self { server, service })
    }

    /// Returns the value for `LLM_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Counts the requests for a completion so far, refused ones included.
    pub fn calls(&self) -> u64 {
        self.service.calls.load(Ordering::Relaxed)
    }

    /// Ends the server after the requests in hand, within a few seconds.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Service {
    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (status, body) = match self.route(request).await {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => (error.status, error.body()),
        };
        let mut response = Response::new(boxed(Full::new(Bytes::from(body))));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Result<String, ApiError> {
        if let Some(key) = &self.options.key {
            let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            if given.and_then(|value| value.strip_prefix("Bearer ")) != Some(key) {
                return Err(ApiError::UNAUTHORIZED);
            }
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/models") => Ok(wire::models()),
            (&Method::POST, "/v1/chat/completions") => self.complete(request).await,
            _ => Err(ApiError::UNKNOWN_URL),
        }
    }

    async fn complete(&self, request: Request<Incoming>) -> Result<String, ApiError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let body = request.into_body().collect().await.map_err(|_| ApiError::UNREADABLE)?;
        let question = ChatRequest::parse(&body.to_bytes())?;
        let answer = answer::answer(
            &question,
            |schema| self.compile(schema),
            |question| self.rate_limited.lock().insert(question),
        );
        if !self.options.latency.is_zero() {
            tokio::time::sleep(self.options.latency).await;
        }
        answer.map(|completion| completion.body(call))
    }

    fn compile(&self, schema: &serde_json::Value) -> Option<Arc<Schema>> {
        let text = schema.to_string();
        if let Some(known) = self.schemas.lock().get(&text) {
            return known.clone();
        }
        let compiled = Schema::compile(schema).ok().map(Arc::new);
        let mut schemas = self.schemas.lock();
        if schemas.len() >= MAX_CACHED_SCHEMAS {
            schemas.clear();
        }
        schemas.insert(text, compiled.clone());
        compiled
    }
}
