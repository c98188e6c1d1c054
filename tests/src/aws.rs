//! The services of AWS that give keys of a role: a container's endpoint and the token service, on loopback.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use assay_dev::Keys;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::front::{Front, Sending, Verdict, body};

/// A server that gives keys to every caller. GET is a container's question, POST the token service's.
#[derive(Debug)]
pub struct RoleServer {
    front: Front,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    given: Mutex<Given>,
    asked: AtomicUsize,
}

#[derive(Debug)]
enum Given {
    Keys(Keys, Duration),
    Refusal,
}

impl RoleServer {
    /// Starts a server that gives these keys, each time for `lifetime`.
    pub async fn start(keys: &Keys, lifetime: Duration) -> Self {
        let given = Mutex::new(Given::Keys(keys.clone(), lifetime));
        let state = Arc::new(State { given, asked: AtomicUsize::new(0) });
        let front = Front::start({
            let state = state.clone();
            move |request| {
                let state = state.clone();
                async move {
                    let method = request.method().clone();
                    let _ = request.into_body().collect().await;
                    state.answer(&method)
                }
                .boxed()
            }
        })
        .await;
        Self { front, state }
    }

    /// Gives these keys from now on.
    pub fn give(&self, keys: &Keys, lifetime: Duration) {
        *self.state.given.lock() = Given::Keys(keys.clone(), lifetime);
    }

    /// Refuses the role from now on.
    pub fn refuse(&self) {
        *self.state.given.lock() = Given::Refusal;
    }

    /// Returns its address: what goes into `AWS_CONTAINER_CREDENTIALS_FULL_URI` or `AWS_ENDPOINT_URL_STS`.
    pub fn address(&self) -> String {
        format!("http://{}", self.front.address())
    }

    /// Returns how often keys were asked for.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }
}

impl State {
    fn answer(&self, method: &Method) -> Verdict {
        let answer = match (&*self.given.lock(), method == Method::GET) {
            (Given::Keys(keys, lifetime), true) => container_answer(keys, *lifetime),
            (Given::Keys(keys, lifetime), false) => token_answer(keys, *lifetime),
            (Given::Refusal, _) => refusal(),
        };
        self.asked.fetch_add(1, Ordering::SeqCst);
        Verdict::Answer(answer)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "AWS tells the end of keys as an instant, which the client compares with its clock"
)]
fn end(lifetime: Duration) -> String {
    (OffsetDateTime::now_utc() + lifetime).format(&Rfc3339).expect("a time of this century")
}

fn container_answer(keys: &Keys, lifetime: Duration) -> Response<crate::front::Body> {
    let answer = json!({
        "AccessKeyId": keys.access,
        "SecretAccessKey": keys.secret,
        "Token": "session",
        "Expiration": end(lifetime),
    });
    response(StatusCode::OK, "application/json", answer.to_string())
}

fn token_answer(keys: &Keys, lifetime: Duration) -> Response<crate::front::Body> {
    let (access, secret, end) = (&keys.access, &keys.secret, end(lifetime));
    let answer = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{access}</AccessKeyId>\
         <SecretAccessKey>{secret}</SecretAccessKey><SessionToken>session</SessionToken>\
         <Expiration>{end}</Expiration></Credentials><AssumedRoleUser>\
         <Arn>arn:aws:sts::123456789012:assumed-role/reports/assay</Arn><AssumedRoleId>AROA:assay</AssumedRoleId>\
         </AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    response(StatusCode::OK, "text/xml", answer)
}

fn refusal() -> Response<crate::front::Body> {
    let answer = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                  <Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>";
    response(StatusCode::FORBIDDEN, "text/xml", answer.to_owned())
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<crate::front::Body> {
    let mut response = Response::new(body(Bytes::from(text), Sending::Whole));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
