//! Stopping in two stages: the first signal drains, the second gives up.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the signals have requested so far. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Claim nothing more; finish the jobs in slots.
    pub drain: CancellationToken,
    /// Give back the jobs in slots.
    pub now: CancellationToken,
}

impl Shutdown {
    /// Follows SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// When the operating system accepts no handler.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(shutdown.clone().follow(term, int));
        Ok(shutdown)
    }

    async fn follow(self, mut term: Signal, mut int: Signal) {
        let mut next = async || {
            tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!(signal = name, "draining: no more claims; a second signal gives the jobs back at once");
        self.drain.cancel();
        let name = next().await;
        tracing::warn!(signal = name, "stopping now: giving jobs back");
        self.now.cancel();
    }
}
