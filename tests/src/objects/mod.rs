//! An S3 server whose requests fail as scripted: the real protocol on real files, behind faults.

use std::sync::Arc;

use assay_dev::{Bucket, Keys};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    Gate,
    front::{Body, Front, Sending, Verdict, announce, body},
    within,
};

/// The bucket of every test.
const BUCKET: &str = "assay-test";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Get,
    Head,
    Put,
    Delete,
    /// Lists the bucket, or asks about it.
    Bucket,
}

impl Operation {
    fn of(request: &Request<Incoming>, key: &str) -> Self {
        match *request.method() {
            _ if key.is_empty() => Self::Bucket,
            Method::HEAD => Self::Head,
            Method::PUT | Method::POST => Self::Put,
            Method::DELETE => Self::Delete,
            _ => Self::Get,
        }
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An error answer; the store is not touched.
    Status {
        status: u16,
        /// S3's code, such as `SlowDown`.
        code: &'static str,
    },
    /// The connection is reset before the store is touched.
    ResetBefore,
    /// The store does as asked, and the connection is reset instead of an answer.
    ResetAfter,
    /// The answer ends after this many bytes of its body, though it announced all.
    CutBody(usize),
    /// The store is touched only after the gate was released.
    Stall(Gate),
    /// The store does as asked; the answer waits for the gate.
    StallAnswer(Gate),
    /// This many bytes of the body, and the rest after the gate.
    StallBody(usize, Gate),
}

impl Fault {
    /// 503 `SlowDown`.
    pub const fn slow_down() -> Self {
        Self::Status { status: 503, code: "SlowDown" }
    }
}

/// A request that has arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// From 1, in the order of arrival.
    pub number: usize,
    pub operation: Operation,
    /// The object's key; empty where it is about the bucket.
    pub key: String,
}

type Policy = Arc<dyn Fn(&Asked) -> Option<Fault> + Send + Sync>;

#[derive(Debug)]
struct Rule {
    operation: Operation,
    key: String,
    fault: Fault,
    left: usize,
}

/// An S3 server with one bucket in a folder of its own.
#[derive(Debug)]
pub struct TestObjects {
    bucket: Bucket,
    keys: Keys,
    front: Front,
    state: Arc<State>,
    _folder: TempDir,
}

struct State {
    bucket: Bucket,
    rules: Mutex<Vec<Rule>>,
    policy: Mutex<Option<Policy>>,
    requests: Mutex<Vec<(Operation, String)>>,
    changed: watch::Sender<usize>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("rules", &*self.rules.lock())
            .field("requests", &*self.changed.borrow())
            .finish_non_exhaustive()
    }
}

impl TestObjects {
    /// Starts the server.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keys = Keys::random();
        let bucket = Bucket::open(folder.path(), BUCKET, &keys).expect("a bucket");
        let state = Arc::new(State {
            bucket: bucket.clone(),
            rules: Mutex::default(),
            policy: Mutex::default(),
            requests: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let front = Front::start({
            let state = Arc::clone(&state);
            move |request| Arc::clone(&state).answer(request).boxed()
        })
        .await;
        Self { bucket, keys, front, state, _folder: folder }
    }

    /// Returns what goes into `S3_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.front.address())
    }

    /// Returns what goes into `S3_BUCKET`.
    pub fn bucket_name(&self) -> &str {
        self.bucket.name()
    }

    /// Returns the credentials that the server accepts.
    pub fn credentials(&self) -> &Keys {
        &self.keys
    }

    /// Returns the bucket, past all faults.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Stores an object, past all faults.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.bucket.put(key, bytes).await.expect("the store takes the object");
    }

    /// Reads an object, past all faults.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        self.bucket.get(key).await.expect("the store reads the object")
    }

    /// Removes an object, past all faults.
    pub async fn delete(&self, key: &str) {
        self.bucket.delete(key).await.expect("the store removes the object");
    }

    /// Returns the keys that begin with `prefix`, sorted, past all faults.
    pub fn list(&self, prefix: &str) -> Vec<String> {
        self.bucket.keys(prefix).expect("the store lists its keys")
    }

    /// Makes the next such request fail whose key contains `key`.
    pub fn fault(&self, operation: Operation, key: &str, fault: Fault) {
        self.fault_times(1, operation, key, fault);
    }

    /// Makes the next `times` such requests fail. Rules apply in the order in which they were made, one per request.
    pub fn fault_times(&self, times: usize, operation: Operation, key: &str, fault: Fault) {
        self.state.rules.lock().push(Rule { operation, key: key.to_owned(), fault, left: times });
    }

    /// Makes every such request fail.
    pub fn fault_always(&self, operation: Operation, key: &str, fault: Fault) {
        self.fault_times(usize::MAX, operation, key, fault);
    }

    /// Asks `policy` about every request that no rule is about: for faults that are drawn by lot.
    pub fn decide(&self, policy: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) {
        *self.state.policy.lock() = Some(Arc::new(policy));
    }

    /// Lets everything work again. What is stalled already stays so until its gate opens.
    pub fn clear_faults(&self) {
        self.state.rules.lock().clear();
        *self.state.policy.lock() = None;
    }

    /// Returns how many such requests have arrived, retries included.
    pub fn count(&self, operation: Operation, key: &str) -> usize {
        self.state.count(operation, key)
    }

    /// Waits until `count` such requests have arrived.
    pub async fn wait_for(&self, operation: Operation, key: &str, count: usize) {
        let mut changed = self.state.changed.subscribe();
        let arrived = changed.wait_for(|_| self.state.count(operation, key) >= count);
        let _ = within(&format!("{operation:?} {count} of {key:?}"), arrived).await;
    }
}

impl State {
    fn count(&self, operation: Operation, key: &str) -> usize {
        self.requests.lock().iter().filter(|(known, name)| *known == operation && name.contains(key)).count()
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Verdict {
        // Path style: /bucket/key.
        let key = request.uri().path().trim_start_matches('/').split_once('/').map_or("", |(_, key)| key).to_owned();
        let operation = Operation::of(&request, &key);
        let number = {
            let mut requests = self.requests.lock();
            requests.push((operation, key.clone()));
            requests.len()
        };
        self.changed.send_modify(|count| *count += 1);
        let fault = self.fault(&Asked { number, operation, key });
        let Some(fault) = fault else { return self.pass_on(request, None).await };
        match fault {
            Fault::Status { status, code } => {
                // Read what was sent, or the client may see a reset instead of the answer.
                let head = request.method() == Method::HEAD;
                let _ = request.into_body().collect().await;
                Verdict::Answer(error(status, code, head))
            }
            Fault::ResetBefore => Verdict::Reset,
            Fault::ResetAfter => {
                self.pass_on(request, None).await;
                Verdict::Reset
            }
            Fault::CutBody(at) => self.pass_on(request, Some(Sending::CutAfter(at))).await,
            Fault::Stall(gate) => {
                gate.pass().await;
                self.pass_on(request, None).await
            }
            Fault::StallAnswer(gate) => {
                let answer = self.pass_on(request, None).await;
                gate.pass().await;
                answer
            }
            Fault::StallBody(at, gate) => self.pass_on(request, Some(Sending::StallAfter(at, gate))).await,
        }
    }

    fn fault(&self, asked: &Asked) -> Option<Fault> {
        let about =
            |rule: &&mut Rule| rule.left > 0 && rule.operation == asked.operation && asked.key.contains(&rule.key);
        if let Some(rule) = self.rules.lock().iter_mut().find(about) {
            if rule.left != usize::MAX {
                rule.left -= 1;
            }
            return Some(rule.fault.clone());
        }
        let policy = self.policy.lock().clone();
        policy.and_then(|policy| policy(asked))
    }

    /// Lets the store answer.
    async fn pass_on(&self, request: Request<Incoming>, sending: Option<Sending>) -> Verdict {
        let response = self.bucket.answer(request.map(Into::into)).await;
        let (head, stream) = response.into_parts();
        let Some(sending) = sending else {
            return Verdict::Answer(Response::from_parts(head, stream.map_err(std::io::Error::other).boxed_unsync()));
        };
        let Ok(whole) = stream.collect().await.map(http_body_util::Collected::to_bytes) else { return Verdict::Reset };
        let length = whole.len();
        let mut response = Response::from_parts(head, body(whole, sending));
        announce(&mut response, length);
        Verdict::Answer(response)
    }
}

fn error(status: u16, code: &str, head: bool) -> Response<Body> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>As told.</Message><RequestId>test</RequestId></Error>"
    );
    let bytes = if head { Bytes::new() } else { Bytes::from(xml) };
    let mut response = Response::new(body(bytes, Sending::Whole));
    *response.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

#[cfg(test)]
mod tests;
