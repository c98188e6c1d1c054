//! A model that takes a second, answers as the release that asks, and knows whether it was asked the same before.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::guests::MARK;

/// What stands before a file's id in each transcript.
pub const FILE_MARK: &str = "This is file ";

/// A running model; it ends with the bench.
#[derive(Debug)]
pub struct Model {
    /// For `LLM_BASE_URL`.
    pub base_url: String,
    asked: Arc<Mutex<Asked>>,
}

/// What was asked so far.
#[derive(Debug, Default)]
struct Asked {
    /// Calls by a hash of their prompt.
    prompts: HashMap<u64, u32>,
    /// The releases that asked about a file.
    files: HashMap<Uuid, BTreeSet<String>>,
    in_flight: usize,
    most_in_flight: usize,
}

impl Model {
    /// Starts one that answers after `latency`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(latency: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let asked = Arc::new(Mutex::new(Asked::default()));
        let router = Router::new().route("/v1/chat/completions", post(answer)).with_state((asked.clone(), latency));
        tokio::spawn(async move {
            // Ends with the listener, and that with the bench.
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self { base_url, asked })
    }

    /// Returns calls so far.
    pub fn calls(&self) -> u32 {
        self.asked.lock().prompts.values().sum()
    }

    /// Returns calls whose prompt had been asked before.
    pub fn repeated(&self) -> u32 {
        self.asked.lock().prompts.values().map(|calls| calls - 1).sum()
    }

    /// Returns the releases that asked about a file.
    pub fn asked_about(&self, file: Uuid) -> BTreeSet<String> {
        self.asked.lock().files.get(&file).cloned().unwrap_or_default()
    }

    /// Returns the most calls that were waiting at the same time since the last look.
    pub fn take_most_in_flight(&self) -> usize {
        let mut asked = self.asked.lock();
        let now = asked.in_flight;
        std::mem::replace(&mut asked.most_in_flight, now)
    }
}

async fn answer(State((asked, latency)): State<(Arc<Mutex<Asked>>, Duration)>, question: Bytes) -> Response {
    let Some((release, file, hash)) = read(&question) else { return StatusCode::BAD_REQUEST.into_response() };
    {
        let mut asked = asked.lock();
        *asked.prompts.entry(hash).or_default() += 1;
        asked.files.entry(file).or_default().insert(release.clone());
        asked.in_flight += 1;
        asked.most_in_flight = asked.most_in_flight.max(asked.in_flight);
    }
    tokio::time::sleep(latency).await;
    asked.lock().in_flight -= 1;
    ([(CONTENT_TYPE, "application/json")], completion(&release)).into_response()
}

/// Returns which release asks, about which file, and the hash of its messages.
fn read(question: &[u8]) -> Option<(String, Uuid, u64)> {
    let question: Value = serde_json::from_slice(question).ok()?;
    let messages = question["messages"].as_array()?;
    let mut hasher = DefaultHasher::new();
    let (mut release, mut file) = (None, None);
    for message in messages {
        let text = message["content"].as_str()?;
        text.hash(&mut hasher);
        let after =
            |mark: &str| text.split_once(mark).map(|(_, rest)| rest.split_once(".\n").map_or(rest, |(word, _)| word));
        release = release.or_else(|| after(MARK).map(str::to_owned));
        file = file.or_else(|| after(FILE_MARK)?.parse().ok());
    }
    Some((release?, file?, hasher.finish()))
}

/// Returns an answer of about 2 KB, in the name of the release.
fn completion(release: &str) -> String {
    let step = |number: usize| json!({ "owner": format!("Person {number}"), "action": format!("Finish part {number} of the plan, and tell the others."), "due_date": "2026-12-01" });
    let point = |number: usize| format!("Point {number}: what was said about it, in some words.");
    let report = json!({
        "release": release,
        "overview": "The team goes through its plan and finds most of it on the way. ".repeat(3),
        "highlights": (0..10).map(point).collect::<Vec<_>>(),
        "next_steps": (0..8).map(step).collect::<Vec<_>>(),
        "risk_level": "medium",
    });
    json!({
        "id": "bench", "object": "chat.completion", "created": 0, "model": "bench",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": report.to_string() } }],
        "usage": { "prompt_tokens": 700, "completion_tokens": 500, "total_tokens": 1200 }
    })
    .to_string()
}
