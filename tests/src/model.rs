//! A model that answers as told: OpenAI's wire format, every way to break it, and a record of what was asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::front::{Body, Front, Sending, Verdict, announce, body};
use crate::{Gate, within};

/// The name of the model in answers that name none.
const MODEL: &str = "scripted";

/// A chat completion that was asked for.
#[derive(Debug, Clone)]
pub struct Call {
    /// From 1, in the order of arrival.
    pub number: usize,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body; `null` where it was no JSON.
    pub body: Value,
    /// When it arrived.
    pub at: Instant,
}

impl Call {
    /// All messages, one after the other.
    pub fn text(&self) -> String {
        let messages = self.body["messages"].as_array().into_iter().flatten();
        messages.filter_map(|message| message["content"].as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The schema that the answer was asked to satisfy.
    pub fn schema(&self) -> Option<&Value> {
        self.body.pointer("/response_format/json_schema/schema")
    }

    /// The kind of answer asked for: `json_schema`, `json_object`, or nothing.
    pub fn response_format(&self) -> Option<&str> {
        self.body.pointer("/response_format/type").and_then(Value::as_str)
    }
}

/// How a call is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(String, String)>,
    content: Content,
    gate: Option<Gate>,
    reset: bool,
    sending: Sending,
}

#[derive(Debug, Clone)]
enum Content {
    Completion(Value),
    Raw(Bytes),
}

impl Reply {
    /// A complete answer with this text.
    pub fn answer(text: impl Into<String>) -> Self {
        let usage = json!({ "prompt_tokens": 120, "completion_tokens": 40, "total_tokens": 160 });
        let message = json!({ "role": "assistant", "content": text.into(), "refusal": null });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop", "logprobs": null });
        Self::new(
            StatusCode::OK,
            Content::Completion(
                json!({ "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage }),
            ),
        )
    }

    /// A complete answer with this JSON document.
    pub fn json(document: &Value) -> Self {
        Self::answer(document.to_string())
    }

    /// A refusal: no content, the reason beside it.
    pub fn refusal(reason: &str) -> Self {
        Self::answer("").edit(|completion| {
            completion["choices"][0]["message"]["content"] = Value::Null;
            completion["choices"][0]["message"]["refusal"] = json!(reason);
        })
    }

    /// A status with a body as it is.
    pub fn status(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::from_u16(status).expect("an HTTP status"), Content::Raw(body.into()))
    }

    /// An error in OpenAI's shape.
    pub fn error(status: u16, kind: &str, code: &str) -> Self {
        Self::status(
            status,
            json!({ "error": { "message": "As told.", "type": kind, "param": null, "code": code } }).to_string(),
        )
    }

    /// 429 in OpenAI's shape, with `Retry-After` as written.
    pub fn rate_limited(retry_after: &str) -> Self {
        Self::error(429, "requests", "rate_limit_exceeded").header("retry-after", retry_after)
    }

    /// 200 with a page of HTML, as a proxy in between gives.
    pub fn html() -> Self {
        Self::status(200, "<!doctype html><html><body>Please sign in.</body></html>")
            .header("content-type", "text/html")
    }

    /// 200 with a completion whose text has this many bytes.
    pub fn huge(bytes: usize) -> Self {
        Self::answer("x".repeat(bytes))
    }

    /// No answer: the connection is reset after the request was read.
    pub fn reset() -> Self {
        Self { reset: true, ..Self::answer("") }
    }

    /// Sets `finish_reason`.
    #[must_use]
    pub fn finish_reason(self, reason: &str) -> Self {
        self.edit(|completion| completion["choices"][0]["finish_reason"] = json!(reason))
    }

    /// Sets the usage.
    #[must_use]
    pub fn usage(self, tokens_in: u64, tokens_out: u64) -> Self {
        self.edit(|completion| {
            completion["usage"] = json!({ "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out });
        })
    }

    /// Changes the completion's JSON in any way.
    ///
    /// # Panics
    /// Where the reply is no completion.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        match &mut self.content {
            Content::Completion(completion) => change(completion),
            Content::Raw(_) => panic!("only a completion can be edited"),
        }
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Holds the answer, or the reset, until the gate is released.
    #[must_use]
    pub fn held(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Ends the connection after this many bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.sending = Sending::CutAfter(bytes);
        self
    }

    /// Sends this many bytes of the body, and the rest when the gate is released.
    #[must_use]
    pub fn stalled_after(mut self, bytes: usize, gate: &Gate) -> Self {
        self.sending = Sending::StallAfter(bytes, gate.clone());
        self
    }

    /// Sends the body in pieces of `bytes`, one per interval.
    #[must_use]
    pub fn dripping(mut self, bytes: usize, every: Duration) -> Self {
        self.sending = Sending::Drip(bytes, every);
        self
    }

    fn new(status: StatusCode, content: Content) -> Self {
        Self { status, headers: Vec::new(), content, gate: None, reset: false, sending: Sending::Whole }
    }

    async fn send(self, call: usize) -> Verdict {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        if self.reset {
            return Verdict::Reset;
        }
        let bytes = match self.content {
            Content::Raw(bytes) => bytes,
            Content::Completion(mut completion) => {
                completion["id"] = json!(format!("chatcmpl-scripted-{call}"));
                completion.to_string().into()
            }
        };
        let length = bytes.len();
        let mut response: Response<Body> = Response::new(body(bytes, self.sending));
        *response.status_mut() = self.status;
        announce(&mut response, length);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str()).expect("a header's name");
            response.headers_mut().insert(name, HeaderValue::try_from(value.as_str()).expect("a header's value"));
        }
        Verdict::Answer(response)
    }
}

type Respond = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;

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

    /// What goes into `LLM_BASE_URL`.
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

    /// How many completions were asked for so far.
    pub fn calls(&self) -> usize {
        *self.script.count.borrow()
    }

    /// What was asked so far.
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
        if (request.method(), request.uri().path()) == (&Method::GET, "/v1/models") {
            let models = json!({ "object": "list", "data": [{ "id": MODEL, "object": "model", "owned_by": "tests" }] });
            return Reply::status(200, models.to_string()).send(0).await;
        }
        if (request.method(), request.uri().path()) != (&Method::POST, "/v1/chat/completions") {
            return Reply::error(404, "invalid_request_error", "unknown_url").send(0).await;
        }
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let call = {
            let mut calls = self.calls.lock();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let call = Call { number: calls.len() + 1, headers: head.headers, body, at: Instant::now() };
            calls.push(call.clone());
            self.count.send_replace(call.number);
            call
        };
        let queued = self.queue.lock().pop_front();
        let reply = queued.or_else(|| {
            let otherwise = self.otherwise.lock().clone();
            otherwise.map(|respond| respond(&call))
        });
        reply.unwrap_or_else(|| Reply::error(501, "invalid_request_error", "nothing_scripted")).send(call.number).await
    }
}

#[cfg(test)]
mod tests;
