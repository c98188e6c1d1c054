//! Moves the engine's epoch, from an OS thread of its own: an async timer would stand still with the runtime that it watches.

use std::{
    io,
    thread::{self, JoinHandle},
    time::Instant,
};

use wasmtime::Engine;

use crate::engine::TICK;

/// How far behind the ticker may fall and still catch up. After a longer stall (a suspended machine) guests get their time again instead of being stopped at once.
const CATCH_UP_TICKS: u32 = 4;

/// Starts the ticker. It holds the engine weakly and ends with it.
///
/// # Errors
/// The thread does not start.
pub(crate) fn start(engine: &Engine) -> io::Result<JoinHandle<()>> {
    let engine = engine.weak();
    thread::Builder::new().name("assay-epoch".into()).spawn(move || {
        let mut next = Instant::now() + TICK;
        loop {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            next = (next + TICK).max(Instant::now() - TICK * CATCH_UP_TICKS);
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
