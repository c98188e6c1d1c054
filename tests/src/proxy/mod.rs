//! A TCP connection under the test's control: forwarded, cut, refused, stalled in one direction or both, or held at one message.

mod connection;
mod postgres_messages;
#[cfg(test)]
mod tests;
mod trigger;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

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
    /// Connections with a lower number are stalled in both directions.
    half_open_below: usize,
}

/// What a rule does with a statement that it delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// How long the statement is kept before the server gets it.
    pub by: Duration,
    pub client: Fate,
}

/// What becomes of a client whose statement is delayed. The server carries the statement out in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Gets the answer, late, where it is still there.
    Answered,
    /// Waits in silence, until it loses patience or the answer, which it does not get, is there.
    Unanswered,
    Cut,
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
    upstream: Mutex<SocketAddr>,
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<u64>,
    accepted: watch::Sender<usize>,
    holds: Mutex<Vec<Armed>>,
    rules: Mutex<Vec<Rule>>,
    /// Statements that rules have delayed and the server has answered.
    delayed: watch::Sender<usize>,
}

type Decide = Arc<dyn Fn() -> Option<Delay> + Send + Sync>;

/// A rule that looks at every statement with its fragment.
struct Rule {
    trigger: Trigger,
    decide: Decide,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("trigger", &self.trigger).finish_non_exhaustive()
    }
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
            upstream: Mutex::new(upstream),
            mode: watch::Sender::default(),
            cuts: watch::Sender::default(),
            accepted: watch::Sender::default(),
            holds: Mutex::default(),
            rules: Mutex::default(),
            delayed: watch::Sender::default(),
        });
        let accepting = tokio::spawn(connection::accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Starts a proxy in front of the server that a URL such as `postgres://user:password@127.0.0.1:5432/name` names.
    pub async fn before(url: &str) -> Self {
        Self::start(address(url)).await
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the same URL, by way of this proxy.
    pub fn url_of(&self, url: &str) -> String {
        let (start, end) = authority(url);
        format!("{}{}{}", &url[..start], self.address, &url[end..])
    }

    /// Returns connections accepted so far.
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

    /// Sends new connections to another server. Those that exist stay where they are, as after a change of DNS.
    pub fn redirect(&self, url: &str) {
        *self.shared.upstream.lock() = address(url);
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

    /// Lets no byte through on the connections that exist now, in either direction, while new ones work: sockets whose peer was
    /// replaced without a word.
    pub fn half_open(&self) {
        let below = self.accepted() + 1;
        self.shared.mode.send_modify(|mode| mode.half_open_below = below);
    }

    /// Forwards everything again, what was stalled first. Rules end; what they have delayed already takes its time.
    pub fn forward(&self) {
        self.shared.rules.lock().clear();
        self.shared.mode.send_replace(Mode::default());
    }

    /// Asks `decide` about every execution of a Postgres statement that contains `fragment` (letter case aside): it is delayed, or
    /// passes.
    pub fn delay_statements(&self, fragment: &str, decide: impl Fn() -> Option<Delay> + Send + Sync + 'static) {
        let trigger = Trigger::Statement(fragment.to_lowercase());
        self.shared.rules.lock().push(Rule { trigger, decide: Arc::new(decide) });
    }

    /// Returns how many delayed statements the server has answered.
    pub fn delayed(&self) -> usize {
        *self.shared.delayed.borrow()
    }

    /// Waits until the server has answered `count` delayed statements.
    pub async fn wait_for_delayed(&self, count: usize) {
        let mut delayed = self.shared.delayed.subscribe();
        let _ = within(&format!("delayed statement {count}"), delayed.wait_for(|delayed| *delayed >= count)).await;
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

    /// Returns whether the message was sent.
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

fn address(url: &str) -> SocketAddr {
    let (start, end) = authority(url);
    url[start..end].parse().expect("a URL with an address and a port")
}

/// Returns where host and port stand in a URL.
fn authority(url: &str) -> (usize, usize) {
    let scheme = url.find("://").map_or(0, |i| i + 3);
    let end = url[scheme..].find(['/', '?']).map_or(url.len(), |i| scheme + i);
    let start = url[scheme..end].rfind('@').map_or(scheme, |i| scheme + i + 1);
    (start, end)
}
