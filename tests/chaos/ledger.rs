//! The calls that the stand-in received: worker, file, question and time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use assay_conversation::question_sha256;
use assay_runtime::{Message, Prompt};
use assay_tests::Call;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{slot::Slot, talk::Marker};

#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// When it had arrived, by the clock that the database has, too.
    pub at: OffsetDateTime,
    pub slot: Slot,
    pub file: Uuid,
    /// What the journal knows the question by.
    pub question: Vec<u8>,
}

impl Asked {
    /// Reads a call of a worker about a transcript, which has arrived now.
    #[expect(clippy::disallowed_methods, reason = "calls are compared with rows, whose database has the same clock")]
    pub fn read(call: &Call) -> Option<Self> {
        let (slot, marker) = (slot(call)?, Marker::find(&call.text())?);
        Some(Self { at: OffsetDateTime::now_utc(), slot, file: marker.file, question: question(&call.bytes)? })
    }
}

/// Every call. Clones are the same ledger.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    calls: Arc<Mutex<Vec<Asked>>>,
    unread: Arc<AtomicUsize>,
}

#[derive(Deserialize)]
struct Request<'a> {
    messages: Vec<Written>,
    #[serde(borrow)]
    response_format: Option<Format<'a>>,
}

#[derive(Deserialize)]
struct Written {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow)]
    json_schema: Named<'a>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    schema: &'a RawValue,
}

impl Ledger {
    /// Records a call of a worker; counts those that cannot be read. Calls through no worker's path belong to no job, and neither
    /// do inquiries.
    pub fn write(&self, call: &Call) {
        if slot(call).is_none() || is_inquiry(&call.bytes) {
            return;
        }
        match Asked::read(call) {
            Some(asked) => self.calls.lock().push(asked),
            None => {
                self.unread.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Returns calls of workers that could not be read.
    pub fn unread(&self) -> usize {
        self.unread.load(Ordering::Relaxed)
    }

    /// Returns every call so far.
    pub fn calls(&self) -> Vec<Asked> {
        self.calls.lock().clone()
    }
}

/// Returns the worker that a call comes from, by its way.
fn slot(call: &Call) -> Option<Slot> {
    call.prefix.strip_prefix("/w")?.parse().ok()
}

/// Returns whether a worker asks the model itself, without a document.
fn is_inquiry(body: &[u8]) -> bool {
    let messages = serde_json::from_slice::<Request<'_>>(body).map(|request| request.messages);
    messages.is_ok_and(|messages| matches!(&messages[..], [only] if only.role == "user" && only.content == "ping"))
}

/// Returns the hash under which the journal keeps a question, of the request that asks it.
fn question(body: &[u8]) -> Option<Vec<u8>> {
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    let messages =
        request.messages.into_iter().map(|message| Message { role: message.role, content: message.content.into() });
    let prompt = Prompt {
        messages: messages.collect(),
        answer_schema: request.response_format.map(|format| format.json_schema.schema.get().into()),
        // What the guests of a run leave to the host.
        model: None,
        max_output_tokens: None,
        temperature: None,
    };
    Some(question_sha256(&prompt).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inquiry_is_told_from_a_question() {
        let asks = |content: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{content}"}}]}}"#);
        assert!(is_inquiry(asks("ping").as_bytes()));
        assert!(!is_inquiry(asks("ping pong").as_bytes()) && !is_inquiry(b"no JSON"));
    }

    #[test]
    fn a_question_has_the_hash_that_the_journal_knows_it_by() {
        let schema = r#"{"type":"object", "b": 1, "a": 2}"#;
        let messages = vec![Message { role: "user".to_owned(), content: "zqt".into() }];
        let prompt = Prompt {
            messages,
            answer_schema: Some(schema.into()),
            model: None,
            max_output_tokens: None,
            temperature: None,
        };
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"zqt"}}],"response_format":{{"type":"json_schema","json_schema":{{"name":"answer","strict":true,"schema":{schema}}}}},"stream":false}}"#
        );
        assert_eq!(question(body.as_bytes()), Some(question_sha256(&prompt).to_vec()));
    }
}
