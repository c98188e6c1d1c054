//! How a call is answered: completions, refusals, errors, and ways to send them badly.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::MODEL;
use crate::{
    Gate,
    front::{Body, Sending, Verdict, announce, body},
};

/// How a call is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(String, String)>,
    content: Content,
    gate: Option<Gate>,
    reset: bool,
    announced: bool,
    sending: Sending,
}

#[derive(Debug, Clone)]
enum Content {
    Completion(Value),
    Raw(Bytes),
}

impl Reply {
    /// Returns a complete answer with this text.
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

    /// Returns a complete answer with this JSON document.
    pub fn json(document: &Value) -> Self {
        Self::answer(document.to_string())
    }

    /// Returns a refusal: no content, the reason beside it.
    pub fn refusal(reason: &str) -> Self {
        Self::answer("").edit(|completion| {
            completion["choices"][0]["message"]["content"] = Value::Null;
            completion["choices"][0]["message"]["refusal"] = json!(reason);
        })
    }

    /// Returns a status with a body as it is.
    pub fn status(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::from_u16(status).expect("an HTTP status"), Content::Raw(body.into()))
    }

    /// Returns an error in OpenAI's shape.
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

    /// 529 in Anthropic's shape: overloaded, without a word on when to come back.
    pub fn overloaded() -> Self {
        let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "As told." } });
        Self::status(529, error.to_string())
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

    /// Resets the connection after the request was read, without an answer.
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
            completion["usage"] = json!({ "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in.saturating_add(tokens_out) });
        })
    }

    /// Changes the completion's JSON in any way.
    ///
    /// # Panics
    /// If the reply is no completion.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        match &mut self.content {
            Content::Completion(completion) => change(completion),
            Content::Raw(_) => panic!("only a completion can be edited"),
        }
        self
    }

    /// Writes the completion in another way, for what no JSON value can hold.
    ///
    /// # Panics
    /// If the reply is no completion.
    #[must_use]
    pub fn rewrite(mut self, write: impl FnOnce(&Value) -> String) -> Self {
        match self.content {
            Content::Completion(completion) => self.content = Content::Raw(write(&completion).into()),
            Content::Raw(_) => panic!("only a completion can be rewritten"),
        }
        self
    }

    /// Returns whether it is a completion, and no error or anything else.
    pub fn is_completion(&self) -> bool {
        matches!(self.content, Content::Completion(_))
    }

    /// Returns the same gate before another answer.
    #[must_use]
    pub fn instead_of(mut self, other: Self) -> Self {
        self.gate = other.gate;
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

    /// Sends the body without `Content-Length`.
    #[must_use]
    pub fn unannounced(mut self) -> Self {
        self.announced = false;
        self
    }

    fn new(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content,
            gate: None,
            reset: false,
            announced: true,
            sending: Sending::Whole,
        }
    }

    pub(super) async fn send(self, call: usize) -> Verdict {
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
        let mut response: Response<Body> = Response::new(match (self.announced, self.sending) {
            (false, Sending::Whole) => body(bytes, Sending::Pieces),
            (_, sending) => body(bytes, sending),
        });
        *response.status_mut() = self.status;
        if self.announced {
            announce(&mut response, length);
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str()).expect("a header's name");
            response.headers_mut().insert(name, HeaderValue::try_from(value.as_str()).expect("a header's value"));
        }
        Verdict::Answer(response)
    }
}
