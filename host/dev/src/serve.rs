//! One HTTP/1 server on loopback for everything in this crate: a deep backlog, cheap connections, a graceful end.

use std::{
    convert::Infallible,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// In a bench, thousands of clients connect at the same moment.
const MAX_WAITING_CONNECTIONS: i32 = 4096;

/// How long requests in hand get to finish at the end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// A failed `accept` means that this process is out of file descriptors: a retry at once would spin.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// A running server; dropping it ends it without waiting.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl HttpServer {
    /// Listens on 127.0.0.1 and answers every request with `answer`.
    pub(crate) fn start<A, F>(port: u16, answer: A) -> Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = listen(port)?;
        let address = listener.local_addr().context("read the address of a listener")?;
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, answer, stopped));
        Ok(Self { address, stop, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more and lets requests in hand finish for a moment.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.accepting.await;
    }
}

/// Listens on 127.0.0.1; port 0 picks a free one.
fn listen(port: u16) -> Result<TcpListener> {
    let bind = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.listen(MAX_WAITING_CONNECTIONS)?;
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket.into())
    };
    bind().with_context(|| format!("listen on 127.0.0.1:{port}"))
}

async fn accept<A, F>(listener: TcpListener, answer: A, mut stopped: watch::Receiver<bool>)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            // An error means that the handle was dropped.
            _ = stopped.changed() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            continue;
        };
        // Answers are small, and a client waits for each.
        let _ = stream.set_nodelay(true);
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let response = answer(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let watched = connections.watch(connection);
        let mut dropped = stopped.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = watched => {}
                () = dropped_without_stop(&mut dropped) => {}
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, connections.shutdown()).await;
}

/// Resolves when the handle is dropped.
async fn dropped_without_stop(stopped: &mut watch::Receiver<bool>) {
    while stopped.changed().await.is_ok() {}
}

pub(crate) fn boxed<B>(body: B) -> Body
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}
