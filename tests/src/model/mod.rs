//! A model that answers as scripted: OpenAI's wire format, every way to break it, and a record of what was asked.

mod odd;
mod reply;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    front::{Front, Verdict},
    within,
};
pub use odd::Oddity;
pub use reply::Reply;

/// The name of the model in answers that name none.
const MODEL: &str = "scripted";

/// The path of completions, behind any prefix.
const COMPLETIONS: &str = "/v1/chat/completions";

/// A chat completion that was asked for.
#[derive(Debug, Clone)]
pub struct Call {
    /// From 1, in the order of arrival.
    pub number: usize,
    /// What stands before `/v1` in the path. Distinguishes workers with addresses of their own.
    pub prefix: String,
    pub headers: HeaderMap,
    /// The request's body; `null` where it was no JSON.
    pub body: Value,
    pub bytes: Bytes,
    pub at: Instant,
}

impl Call {
    /// Returns all messages, one after the other.
    pub fn text(&self) -> String {
        let messages = self.body["messages"].as_array().into_iter().flatten();
        messages.filter_map(|message| message["content"].as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Returns the schema that the answer was asked to satisfy.
    pub fn schema(&self) -> Option<&Value> {
        self.body.pointer("/response_format/json_schema/schema")
    }

    /// Returns the kind of answer asked for: `json_schema`, `json_object`, or nothing.
    pub fn response_format(&self) -> Option<&str> {
        self.body.pointer("/response_format/type").and_then(Value::as_str)
    }
}

type Respond = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;
type Spoil = Arc<dyn Fn(&Call, Reply) -> Reply + Send + Sync>;
type TurnAway = Arc<dyn Fn() -> bool + Send + Sync>;

/// A model under the test's control. A call for which nothing is scripted gets 501, which no retry cures.
#[derive(Debug)]
pub struct ScriptedModel {
    front: Front,
    script: Arc<Script>,
}

#[derive(Default)]
struct Script {
    queue: Mutex<VecDeque<Reply>>,
    otherwise: Mutex<Option<Respond>>,
    spoil: Mutex<Option<Spoil>>,
    turn_away: Mutex<Option<TurnAway>>,
    turned_away: watch::Sender<usize>,
    calls: Mutex<Vec<Call>>,
    count: watch::Sender<usize>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("queued", &self.queue.lock().len())
            .field("calls", &*self.count.borrow())
            .finish_non_exhaustive()
    }
}

impl ScriptedModel {
    /// Starts the server.
    pub async fn start() -> Self {
        let script = Arc::new(Script::default());
        let front = Front::start({
            let script = Arc::clone(&script);
            move |request| Arc::clone(&script).answer(request).boxed()
        })
        .await;
        Self { front, script }
    }

    /// Returns what goes into `LLM_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.front.address())
    }

    /// Answers the next call that has no reply yet.
    pub fn push(&self, reply: Reply) {
        self.script.queue.lock().push_back(reply);
    }

    /// Answers every call for which none is queued.
    pub fn always(&self, reply: Reply) {
        self.respond(move |_| reply.clone());
    }

    /// Answers every call for which none is queued, by what is asked.
    pub fn respond(&self, respond: impl Fn(&Call) -> Reply + Send + Sync + 'static) {
        *self.script.otherwise.lock() = Some(Arc::new(respond));
    }

    /// Changes every reply, scripted or not: for faults of a model that otherwise answers as ever.
    pub fn spoil(&self, spoil: impl Fn(&Call, Reply) -> Reply + Send + Sync + 'static) {
        *self.script.spoil.lock() = Some(Arc::new(spoil));
    }

    /// Stops spoiling replies and turning calls away.
    pub fn spare(&self) {
        *self.script.spoil.lock() = None;
        *self.script.turn_away.lock() = None;
    }

    /// Asks before each call is read whether its connection is reset at once. Such a call is not
    /// counted, and its question stays unknown.
    pub fn turn_away(&self, decide: impl Fn() -> bool + Send + Sync + 'static) {
        *self.script.turn_away.lock() = Some(Arc::new(decide));
    }

    /// Returns how many calls were turned away so far.
    pub fn turned_away(&self) -> usize {
        *self.script.turned_away.borrow()
    }

    /// Returns how many completions were asked for so far.
    pub fn calls(&self) -> usize {
        *self.script.count.borrow()
    }

    /// Returns what was asked so far.
    pub fn requests(&self) -> Vec<Call> {
        self.script.calls.lock().clone()
    }

    /// Waits until `count` completions were asked for.
    pub async fn wait_for_calls(&self, count: usize) {
        let mut calls = self.script.count.subscribe();
        let _ = within(&format!("call {count} of the model"), calls.wait_for(|calls| *calls >= count)).await;
    }
}

impl Script {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Verdict {
        if request.method() == Method::GET && request.uri().path().ends_with("/v1/models") {
            let models = json!({ "object": "list", "data": [{ "id": MODEL, "object": "model", "owned_by": "tests" }] });
            return Reply::status(200, models.to_string()).send(0).await;
        }
        let prefix = request.uri().path().strip_suffix(COMPLETIONS).map(str::to_owned);
        let Some(prefix) = prefix.filter(|_| request.method() == Method::POST) else {
            return Reply::error(404, "invalid_request_error", "unknown_url").send(0).await;
        };
        let turn_away = self.turn_away.lock().clone();
        if turn_away.is_some_and(|decide| decide()) {
            self.turned_away.send_modify(|count| *count += 1);
            return Verdict::Reset;
        }
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let call = {
            let mut calls = self.calls.lock();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let call = Call { number: calls.len() + 1, prefix, headers: head.headers, body, bytes, at: Instant::now() };
            calls.push(call.clone());
            self.count.send_replace(call.number);
            call
        };
        let queued = self.queue.lock().pop_front();
        let reply = queued.or_else(|| {
            let otherwise = self.otherwise.lock().clone();
            otherwise.map(|respond| respond(&call))
        });
        let reply = reply.unwrap_or_else(|| Reply::error(501, "invalid_request_error", "nothing_scripted"));
        let spoil = self.spoil.lock().clone();
        let reply = match spoil {
            Some(spoil) => spoil(&call, reply),
            None => reply,
        };
        reply.send(call.number).await
    }
}

#[cfg(test)]
mod tests;
