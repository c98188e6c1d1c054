//! Advances the engine's epoch on its own OS thread: an async timer would stop with the runtime that it watches.

use std::{
    io,
    thread::{self, JoinHandle},
    time::Instant,
};

use wasmtime::Engine;

use crate::engine::EPOCH_TICK;

/// The ticker catches up at most this far. After a longer stall (a suspended machine) guests get more time and are not all stopped.
const CATCH_UP_TICKS: u32 = 4;

/// Starts the ticker. It ends with the engine.
///
/// # Errors
/// The thread does not start.
pub(crate) fn start(engine: &Engine) -> io::Result<JoinHandle<()>> {
    let engine = engine.weak();
    thread::Builder::new().name("assay-epoch".into()).spawn(move || {
        let mut next = Instant::now() + EPOCH_TICK;
        loop {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            next = (next + EPOCH_TICK).max(Instant::now() - EPOCH_TICK * CATCH_UP_TICKS);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticker_ends_with_its_engine() {
        let engine = Engine::default();
        let ticker = start(&engine).unwrap();
        drop(engine);
        ticker.join().unwrap();
    }
}
