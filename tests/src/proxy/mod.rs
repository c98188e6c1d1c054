//! A TCP connection under the test's control: forwarded, cut, refused, stalled in one direction or both, or held at one message.

mod connection;
mod postgres_messages;
mod trigger;

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::{Gate, within};
use connection::Command;
use trigger::Trigger;

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What happens to bytes and connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mode {
    refuse: bool,
    stall_to_server: bool,
    stall_to_client: bool,
}

/// A running proxy. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Grows at each cut.
    cuts: watch::Sender<u64>,
    accepted: watch::Sender<usize>,
    holds: Mutex<Vec<Armed>>,
}

/// A hold that waits for its message.
#[derive(Debug)]
struct Armed {
    trigger: Trigger,
    reached: Gate,
    commands: mpsc::UnboundedReceiver<Command>,
}

impl Proxy {
    /// Starts a proxy in front of `upstream`.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            upstream,
            mode: watch::Sender::default(),
            cuts: watch::Sender::default(),
            accepted: watch::Sender::default(),
            holds: Mutex::default(),
        });
        let accepting = tokio::spawn(connection::accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Starts a proxy in front of the server that a URL such as `postgres://user:password@127.0.0.1:5432/name` names.
    pub async fn before(url: &str) -> Self {
        let (start, end) = authority(url);
        Self::start(url[start..end].parse().expect("a URL with an address and a port")).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same URL, by way of this proxy.
    pub fn url_of(&self, url: &str) -> String {
        let (start, end) = authority(url);
        format!("{}{}{}", &url[..start], self.address, &url[end..])
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        *self.shared.accepted.borrow()
    }

    /// Waits until `count` connections were accepted.
    pub async fn wait_for_connections(&self, count: usize) {
        let mut accepted = self.shared.accepted.subscribe();
        let _ = within(&format!("connection {count}"), accepted.wait_for(|accepted| *accepted >= count)).await;
    }

    /// Ends all connections that exist now, on both sides.
    pub fn cut_all(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends new connections at once. Those that exist go on.
    pub fn refuse(&self) {
        self.shared.mode.send_modify(|mode| mode.refuse = true);
    }

    /// Takes connections but lets no byte through, in either direction: a peer that vanished without a word.
    pub fn black_hole(&self) {
        self.stall(Direction::ToServer);
        self.stall(Direction::ToClient);
    }

    /// Lets no byte through in one direction.
    pub fn stall(&self, direction: Direction) {
        self.shared.mode.send_modify(|mode| match direction {
            Direction::ToServer => mode.stall_to_server = true,
            Direction::ToClient => mode.stall_to_client = true,
        });
    }

    /// Forwards everything again, what was stalled first.
    pub fn forward(&self) {
        self.shared.mode.send_replace(Mode::default());
    }

    /// Holds the first connection whose client sends these bytes, from these bytes on.
    pub fn hold_bytes(&self, pattern: impl Into<Vec<u8>>) -> Hold {
        self.arm(Trigger::Bytes(pattern.into()))
    }

    /// Holds the first connection whose client executes a Postgres statement that contains `fragment` (letter case aside), be it simple or
    /// prepared, from the execution on. Preparing it is let through.
    pub fn hold_statement(&self, fragment: &str) -> Hold {
        self.arm(Trigger::Statement(fragment.to_lowercase()))
    }

    fn arm(&self, trigger: Trigger) -> Hold {
        let (sender, commands) = mpsc::unbounded_channel();
        let reached = Gate::new();
        // A gate that only counts arrivals: the connection does not wait for its release but for commands.
        reached.release();
        self.shared.holds.lock().push(Armed { trigger, reached: reached.clone(), commands });
        Hold { reached, commands: sender }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut_all();
        self.accepting.abort();
    }
}

/// One connection, held at a message, once it was reached. Dropping it ends the connection without the message.
#[derive(Debug)]
pub struct Hold {
    reached: Gate,
    commands: mpsc::UnboundedSender<Command>,
}

impl Hold {
    /// Waits until the client has sent the message and the proxy keeps it.
    pub async fn reached(&self) {
        self.reached.reached().await;
    }

    /// Whether the message was sent.
    pub fn is_reached(&self) -> bool {
        self.reached.arrived() > 0
    }

    /// Ends the client's side. The server still waits for the message.
    pub async fn cut_client(&self) {
        self.command("the cut", Command::CutClient).await;
    }

    /// Sends the message to the server and waits until the server has answered it. A client that is still there gets the answer, and the
    /// connection goes on.
    pub async fn forward(&self) {
        self.command("the server's answer", Command::Forward).await;
    }

    async fn command(&self, what: &str, command: fn(oneshot::Sender<()>) -> Command) {
        let (done, when_done) = oneshot::channel();
        self.commands.send(command(done)).unwrap_or_else(|_| panic!("{what}: the held connection is gone"));
        within(what, when_done).await.unwrap_or_else(|_| panic!("{what}: the held connection ended"));
    }
}

/// Where host and port stand in a URL.
fn authority(url: &str) -> (usize, usize) {
    let scheme = url.find("://").map_or(0, |i| i + 3);
    let end = url[scheme..].find(['/', '?']).map_or(url.len(), |i| scheme + i);
    let start = url[scheme..end].rfind('@').map_or(scheme, |i| scheme + i + 1);
    (start, end)
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::TestDatabase;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        address
    }

    async fn say(stream: &mut TcpStream, text: &[u8]) -> Vec<u8> {
        stream.write_all(text).await.unwrap();
        let mut back = vec![0; text.len()];
        within("the echo", stream.read_exact(&mut back)).await.unwrap();
        back
    }

    #[tokio::test]
    async fn bytes_pass_until_the_connection_is_cut() {
        let proxy = Proxy::start(echo().await).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream, b"hello").await, b"hello");
        proxy.cut_all();
        let end = within("the end", stream.read(&mut [0; 8])).await;
        assert!(matches!(end, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn a_refusing_proxy_ends_new_connections_and_keeps_old_ones() {
        let proxy = Proxy::start(echo().await).await;
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut old, b"one").await, b"one");
        proxy.refuse();
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(matches!(within("the end", new.read(&mut [0; 8])).await, Ok(0) | Err(_)));
        assert_eq!(say(&mut old, b"two").await, b"two");
    }

    #[tokio::test]
    async fn what_a_black_hole_swallowed_arrives_when_it_forwards_again() {
        let proxy = Proxy::start(echo().await).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream, b"one").await, b"one");
        proxy.black_hole();
        stream.write_all(b"two").await.unwrap();
        assert_eq!(stream.try_read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        proxy.forward();
        let mut back = [0; 3];
        within("the echo", stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(&back, b"two");
    }

    #[tokio::test]
    async fn a_held_pattern_is_forwarded_on_command_only() {
        let proxy = Proxy::start(echo().await).await;
        let hold = proxy.hold_bytes("STOP");
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"go STOP now").await.unwrap();
        hold.reached().await;
        let mut before = [0; 3];
        within("what came before", stream.read_exact(&mut before)).await.unwrap();
        assert_eq!(&before, b"go ");
        hold.forward().await;
        let mut after = [0; 8];
        within("what was held", stream.read_exact(&mut after)).await.unwrap();
        assert_eq!(&after, b"STOP now");
    }

    #[tokio::test]
    async fn a_prepared_statement_is_carried_out_after_its_client_was_cut() {
        let database = TestDatabase::empty().await;
        sqlx::query("CREATE TABLE marks (mark int)").execute(database.pool()).await.unwrap();
        let proxy = Proxy::before(database.url()).await;
        let hold = proxy.hold_statement("insert INTO marks");
        let url = proxy.url_of(database.url());
        let client = tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await?;
            sqlx::query("INSERT INTO marks VALUES ($1)").bind(7).execute(&mut connection).await
        });
        hold.reached().await;
        hold.cut_client().await;
        assert!(within("the client's error", client).await.unwrap().is_err());
        let count = || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM marks").fetch_one(database.pool());
        assert_eq!(count().await.unwrap(), 0);
        hold.forward().await;
        assert_eq!(count().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_held_commit_lets_its_client_go_on_after_it_was_forwarded() {
        let database = TestDatabase::empty().await;
        sqlx::query("CREATE TABLE marks (mark int)").execute(database.pool()).await.unwrap();
        let proxy = Proxy::before(database.url()).await;
        let hold = proxy.hold_statement("commit");
        let url = proxy.url_of(database.url());
        let client = tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await?;
            let mut transaction = connection.begin().await?;
            sqlx::query("INSERT INTO marks VALUES ($1)").bind(7).execute(&mut *transaction).await?;
            transaction.commit().await?;
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM marks").fetch_one(&mut connection).await
        });
        hold.reached().await;
        let committed: i64 = sqlx::query_scalar("SELECT count(*) FROM marks").fetch_one(database.pool()).await.unwrap();
        assert_eq!(committed, 0);
        hold.forward().await;
        assert_eq!(within("the client", client).await.unwrap().unwrap(), 1);
    }
}
