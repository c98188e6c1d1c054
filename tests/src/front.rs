//! An HTTP/1 server whose answers may break: reset, cut in the middle, stalled, dripped. The S3 server and the model stand behind one.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::Gate;

/// Of a body without `Content-Length`.
const PIECE: usize = 64 * 1024;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(crate) enum Verdict {
    Answer(Response<Body>),
    /// The connection is reset; the client gets no answer.
    Reset,
}

/// How a body is sent.
#[derive(Debug, Clone, Default)]
pub(crate) enum Sending {
    #[default]
    Whole,
    /// The connection ends after this many bytes, though more were announced.
    CutAfter(usize),
    /// This many bytes, then the gate, then the rest.
    StallAfter(usize, Gate),
    /// Whole, in pieces without `Content-Length`.
    Pieces,
    /// Chunks of this many bytes, one per interval.
    Drip(usize, Duration),
}

/// A running server. Dropping it cuts every connection.
#[derive(Debug)]
pub(crate) struct Front {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start<H>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> BoxFuture<'static, Verdict> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let handler = Arc::new(handler);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let handler = Arc::clone(&handler);
                connections.spawn(async move { connection(stream, handler).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection<H>(stream: TcpStream, handler: Arc<H>)
where
    H: Fn(Request<Incoming>) -> BoxFuture<'static, Verdict> + Send + Sync + 'static,
{
    let _ = stream.set_nodelay(true);
    // A second handle, to turn the close into a reset.
    let Ok(stream) = stream.into_std() else { return };
    let Ok(second) = stream.try_clone() else { return };
    let second = Arc::new(Mutex::new(Some(second)));
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let service = service_fn(move |request| {
        let answer = handler(request);
        let second = Arc::clone(&second);
        async move {
            match answer.await {
                Verdict::Answer(response) => Ok::<_, Reset>(response),
                Verdict::Reset => {
                    if let Some(socket) = second.lock().take() {
                        let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
                    }
                    Err(Reset)
                }
            }
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Makes hyper drop the connection without an answer.
#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset as scripted")
    }
}

impl std::error::Error for Reset {}

/// Returns a body, sent as scripted.
pub(crate) fn body(bytes: Bytes, sending: Sending) -> Body {
    let stream: BoxStream<'static, io::Result<Bytes>> = match sending {
        Sending::Whole => return http_body_util::Full::new(bytes).map_err(never).boxed_unsync(),
        Sending::CutAfter(at) => {
            let start = bytes.slice(..at.min(bytes.len()));
            let cut = stream::once(async {
                // hyper flushes what it has when a body has nothing to give, and only then: an error at once would take the
                // head of the answer along.
                tokio::task::yield_now().await;
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut as scripted"))
            });
            stream::iter([Ok(start)]).chain(cut).boxed()
        }
        Sending::StallAfter(at, gate) => {
            let (start, rest) = (bytes.slice(..at.min(bytes.len())), bytes.slice(at.min(bytes.len())..));
            let later = stream::once(async move {
                gate.pass().await;
                Ok(rest)
            });
            stream::iter([Ok(start)]).chain(later).boxed()
        }
        Sending::Pieces => stream::iter(pieces(bytes, PIECE).map(Ok)).boxed(),
        Sending::Drip(size, every) => {
            // The pace is what is being tested, not a wait for anything.
            stream::iter(pieces(bytes, size.max(1)))
                .then(move |chunk| async move {
                    tokio::time::sleep(every).await;
                    Ok(chunk)
                })
                .boxed()
        }
    };
    StreamBody::new(stream.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

fn pieces(bytes: Bytes, size: usize) -> impl Iterator<Item = Bytes> {
    (0..bytes.len()).step_by(size).map(move |at| bytes.slice(at..(at + size).min(bytes.len())))
}

/// Sets the length that a broken body still announces.
pub(crate) fn announce(response: &mut Response<Body>, length: usize) {
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

fn never(never: Infallible) -> io::Error {
    match never {}
}
