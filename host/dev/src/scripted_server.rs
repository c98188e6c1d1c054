//! A TCP server that plays prepared replies, byte for byte: what no well-behaved HTTP server can be made to do.
//!
//! For tests of clients: deadlines, resets, bodies that break off.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One act of a reply.
#[derive(Clone, Debug)]
pub enum Act {
    /// Writes these bytes.
    Send(Vec<u8>),
    /// Says nothing more until the client hangs up.
    Hold,
    /// Ends the connection with a TCP reset.
    Reset,
    /// Ends the connection in the ordinary way.
    Close,
}

/// What the server does after it has read a request.
pub type Reply = Vec<Act>;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

/// The server; it lives as long as the test's runtime.
pub struct ScriptedServer {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
}

impl ScriptedServer {
    /// Plays the replies in order, one per request; the last one stays.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State { replies: Mutex::new(replies.into_iter().collect()), ..State::default() });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { port, state }
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// The connections so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

/// A whole response.
pub fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    vec![Act::Send(bytes(status, headers, body.len(), body))]
}

/// The start of a response that announces more than `body`.
pub fn beginning(status: u16, announced: usize, body: &str) -> Act {
    Act::Send(bytes(status, &[], announced, body))
}

fn bytes(status: u16, headers: &[(&str, &str)], length: usize, body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    while let Some(request) = read_request(&mut stream).await {
        state.received.lock().unwrap().push(request);
        let reply = {
            let mut replies = state.replies.lock().unwrap();
            if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
        };
        for act in reply.unwrap_or_default() {
            match act {
                Act::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Act::Hold => {
                    // Returns when the client is gone; what it may still send is of no interest.
                    while matches!(stream.read(&mut [0; 1024]).await, Ok(read) if read > 0) {}
                    return;
                }
                Act::Reset => {
                    let _ = stream.set_zero_linger();
                    return;
                }
                Act::Close => return,
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&read[..head_end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let total = head_end + length.unwrap_or(0);
    while read.len() < total {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received { head, body: read[head_end..total].to_vec() })
}
