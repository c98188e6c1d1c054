//! One connection through the proxy, from both sides' first byte to the last.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
};

use super::{
    Armed, Delay, Fate, Mode, Shared,
    postgres_messages::is_ready,
    trigger::{Passage, Trigger, Watcher},
};

const BUFFER: usize = 64 * 1024;

/// What a test orders of a held connection.
#[derive(Debug)]
pub(super) enum Command {
    CutClient(oneshot::Sender<()>),
    Forward(oneshot::Sender<()>),
}

/// Accepts until it is aborted; the connections end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if shared.mode.borrow().refuse {
            // With a reset, as a closed port answers.
            let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
        } else {
            let link = Link {
                number: *shared.accepted.borrow() + 1,
                mode: shared.mode.subscribe(),
                cuts: shared.cuts.subscribe(),
                shared: Arc::clone(&shared),
                watcher: Watcher::default(),
            };
            connections.spawn(link.run(client));
        }
        shared.accepted.send_modify(|count| *count += 1);
        while connections.try_join_next().is_some() {}
    }
}

struct Link {
    /// From 1, in the order of their beginning.
    number: usize,
    shared: Arc<Shared>,
    mode: watch::Receiver<Mode>,
    cuts: watch::Receiver<u64>,
    watcher: Watcher,
}

impl Link {
    async fn run(mut self, client: TcpStream) {
        let mut cuts = self.cuts.clone();
        tokio::select! {
            // Any error is an end: both sides are dropped, and see it.
            _ = self.forward(client) => {}
            _ = cuts.changed() => {}
        }
    }

    async fn forward(&mut self, mut client: TcpStream) -> io::Result<()> {
        let upstream = *self.shared.upstream.lock();
        let mut server = TcpStream::connect(upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut up, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
        loop {
            let mode = *self.mode.borrow_and_update();
            let half_open = self.number < mode.half_open_below;
            tokio::select! {
                changed = self.mode.changed() => if changed.is_err() { return Ok(()) },
                read = client.read(&mut up), if !(mode.stall_to_server || half_open) => {
                    let count = read?;
                    if count == 0 {
                        return server.shutdown().await;
                    }
                    match self.look(&up[..count]) {
                        (bytes, None) => server.write_all(&bytes).await?,
                        (before, Some((held, stop))) => {
                            server.write_all(&before).await?;
                            let still_there = match stop {
                                Stop::Hold(armed) => hold(client, &mut server, held, armed).await?,
                                Stop::Delay(rule) => {
                                    let client = delay(client, &mut server, held, rule).await?;
                                    self.shared.delayed.send_modify(|count| *count += 1);
                                    client
                                }
                            };
                            match still_there {
                                Some(still_there) => client = still_there,
                                None => return Ok(()),
                            }
                        }
                    }
                }
                read = server.read(&mut down), if !(mode.stall_to_client || half_open) => {
                    let count = read?;
                    if count == 0 {
                        return client.shutdown().await;
                    }
                    client.write_all(&down[..count]).await?;
                }
            }
        }
    }

    /// Returns what may pass, and what is stopped, by a hold or else by a rule.
    fn look(&mut self, bytes: &[u8]) -> (Vec<u8>, Option<(Vec<u8>, Stop)>) {
        let mut holds = self.shared.holds.lock();
        let rules = self.shared.rules.lock();
        let triggers = holds.iter().map(|armed| &armed.trigger).chain(rules.iter().map(|rule| &rule.trigger));
        match self.watcher.look(bytes, triggers) {
            Passage::Pass(bytes) => (bytes, None),
            Passage::Hold(before, held, index) if index < holds.len() => {
                (before, Some((held, Stop::Hold(holds.remove(index)))))
            }
            Passage::Hold(before, held, index) => match (rules[index - holds.len()].decide)() {
                Some(rule) => (before, Some((held, Stop::Delay(rule)))),
                None => ([before, held].concat(), None),
            },
        }
    }
}

/// Why a message does not pass.
enum Stop {
    Hold(Armed),
    Delay(Delay),
}

/// Keeps a statement back for its time, then lets the server carry it out. Returns the client where it goes on.
async fn delay(
    client: TcpStream,
    server: &mut TcpStream,
    mut held: Vec<u8>,
    rule: Delay,
) -> io::Result<Option<TcpStream>> {
    let mut client = Some(client).filter(|_| rule.client != Fate::Cut);
    let (mut buffer, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
    let time = tokio::time::sleep(rule.by);
    tokio::pin!(time);
    loop {
        tokio::select! {
            () = &mut time => break,
            read = server.read(&mut down) => match (read?, client.as_mut()) {
                (0, _) => return Ok(None),
                (count, Some(client)) => client.write_all(&down[..count]).await?,
                (_, None) => {}
            },
            count = read(&mut client, &mut buffer) => match count {
                0 => client = None,
                count => held.extend_from_slice(&buffer[..count]),
            },
        }
    }
    server.write_all(&held).await?;
    let hearer = client.as_mut().filter(|_| rule.client == Fate::Answered);
    answer(hearer, server, true, held.len()).await?;
    Ok(client.filter(|_| rule.client == Fate::Answered))
}

/// Keeps a message back until its gate opens. Returns the client if it is still connected when the server has answered.
async fn hold(
    client: TcpStream,
    server: &mut TcpStream,
    mut held: Vec<u8>,
    mut armed: Armed,
) -> io::Result<Option<TcpStream>> {
    let mut client = Some(client);
    // The gate is open: this only shows the arrival.
    armed.reached.pass().await;
    let (mut buffer, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        tokio::select! {
            // Answers to what came before pass.
            read = server.read(&mut down) => match (read?, client.as_mut()) {
                (0, _) => return Ok(None),
                (count, Some(client)) => client.write_all(&down[..count]).await?,
                (_, None) => {}
            },
            // The test's handle is gone: the message is never sent.
            command = armed.commands.recv() => match command {
                None => return Ok(None),
                Some(Command::CutClient(done)) => {
                    client = None;
                    let _ = done.send(());
                }
                Some(Command::Forward(done)) => {
                    server.write_all(&held).await?;
                    let statement = matches!(armed.trigger, Trigger::Statement(_));
                    answer(client.as_mut(), server, statement, held.len()).await?;
                    let _ = done.send(());
                    return Ok(client);
                }
            },
            // What the client sends meanwhile belongs behind what is held; its going away is noticed.
            count = read(&mut client, &mut buffer) => match count {
                0 => client = None,
                count => held.extend_from_slice(&buffer[..count]),
            },
        }
    }
}

/// Reads from a client that may be gone: then never returns. An error is an end.
async fn read(client: &mut Option<TcpStream>, buffer: &mut [u8]) -> usize {
    match client {
        Some(client) => client.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Passes the server's answer on and returns when it is complete: for a statement with `ReadyForQuery`, else with the first bytes.
async fn answer(
    mut client: Option<&mut TcpStream>,
    server: &mut TcpStream,
    statement: bool,
    sent: usize,
) -> io::Result<()> {
    if sent == 0 {
        return Ok(());
    }
    let (mut buffer, mut pending) = (vec![0; BUFFER], Vec::new());
    loop {
        let count = server.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if let Some(client) = client.as_mut() {
            // It may go away at any moment; the server's answer is what is waited for.
            let _ = client.write_all(&buffer[..count]).await;
        }
        if !statement || is_ready(&mut pending, &buffer[..count]) {
            return Ok(());
        }
    }
}
