//! Serves HTTP/1 to a bounded number of clients, so that they cannot use up the worker's file descriptors.

use std::{collections::VecDeque, convert::Infallible, io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// A failed `accept` usually means that no file descriptor is left: a retry at once would spin.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// What clients may take of a server.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Connections at a time.
    pub connections: usize,
    /// Time for the head of a request, from the connection or the request before. Also ends idle connections.
    pub request_head: Duration,
}

/// Serves until it is dropped.
///
/// One client over the limit closes the oldest connection: a probe or a scrape takes milliseconds, so an old connection is idle
/// or half-sent, and a new one is answered even while one client holds many.
pub async fn serve(listener: TcpListener, router: Router, limits: HttpLimits) -> Infallible {
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.make_room(limits.connections).await;
                connections.add(serve_client(stream, router.clone(), limits.request_head));
            }
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "connection to ADMIN_ADDR not accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Answers the requests of one connection. What goes wrong on it concerns only its client.
async fn serve_client(stream: TcpStream, router: Router, request_head: Duration) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(request_head);
    let _ = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
}

/// Returns whether a connection failed that the client had already given up.
fn is_of_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// The connections that are open. Dropping them closes them.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// The oldest first.
    ages: VecDeque<AbortHandle>,
}

impl Connections {
    fn add(&mut self, client: impl Future<Output = ()> + Send + 'static) {
        self.ages.push_back(self.tasks.spawn(client));
    }

    /// Returns when there is room for one more; closes the oldest connection if necessary.
    async fn make_room(&mut self, limit: usize) {
        while self.tasks.try_join_next().is_some() {}
        self.ages.retain(|task| !task.is_finished());
        if self.tasks.len() >= limit {
            if let Some(oldest) = self.ages.pop_front() {
                oldest.abort();
            }
            self.tasks.join_next().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinHandle,
        time::timeout,
    };

    use super::*;

    const HALF_SENT: &str = "GET /livez HTTP/1.1\r\nhost: x\r\n";
    const WHOLE: &str = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    const DEADLINE: Duration = Duration::from_secs(30);
    /// Longer than any test.
    const NEVER: Duration = Duration::from_secs(3600);

    async fn server(connections: usize, request_head: Duration) -> (SocketAddr, JoinHandle<Infallible>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/livez", get(|| async { "ok\n" }));
        (address, tokio::spawn(serve(listener, router, HttpLimits { connections, request_head })))
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Returns what the server sent until it closed the connection.
    async fn received(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        // A connection that is closed with bytes unread is reset.
        let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the server closes the connection");
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_sends_no_whole_request_is_closed() {
        let (address, _server) = server(8, Duration::from_millis(50)).await;
        for text in ["", "GET", HALF_SENT] {
            assert_eq!(received(send(address, text).await).await, "", "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_rests_after_its_request_is_answered_and_closed() {
        let (address, _server) = server(8, Duration::from_millis(50)).await;
        let body_announced = "GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n";
        for text in [WHOLE, body_announced] {
            let answer = received(send(address, text).await).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_client_over_the_limit_is_answered_and_the_oldest_is_closed() {
        let (address, _server) = server(3, NEVER).await;
        let mut open = Vec::new();
        for _ in 0..7 {
            open.push(send(address, HALF_SENT).await);
        }
        let mut last = send(address, WHOLE).await;
        let mut answer = [0; 15];
        timeout(DEADLINE, last.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let young = open.split_off(5);
        for old in open {
            assert_eq!(received(old).await, "");
        }
        for stream in young {
            let still_open = stream.try_read(&mut [0; 1]).unwrap_err();
            assert_eq!(still_open.kind(), io::ErrorKind::WouldBlock, "two half-sent ones and the last are three");
        }
    }

    #[tokio::test]
    async fn clients_below_the_limit_are_left_alone() {
        let (address, _server) = server(3, NEVER).await;
        let mut kept = [send(address, WHOLE).await, send(address, WHOLE).await];
        for _ in 0..5 {
            let answer = received(send(address, "GET /livez HTTP/1.0\r\n\r\n").await).await;
            assert!(answer.ends_with("ok\n"), "{answer}");
        }
        for stream in &mut kept {
            let mut answer = [0; 15];
            timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
        }
    }
}
