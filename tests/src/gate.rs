//! A gate: one side waits at it, the other sees the arrival and opens it.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::within;

/// A closed gate that opens once. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    sides: Arc<Sides>,
}

#[derive(Debug)]
struct Sides {
    arrived: watch::Sender<usize>,
    left: watch::Sender<usize>,
    open: watch::Sender<bool>,
    /// A waiter passes a closed gate after this time.
    patience: Option<Duration>,
}

/// A waiter; dropped, it has left without passing.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// Returns a closed gate.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// Returns a gate that lets each waiter pass after this time, and all of them when it is released.
    pub fn opening_after(time: Duration) -> Self {
        Self::with(Some(time))
    }

    fn with(patience: Option<Duration>) -> Self {
        let (arrived, left) = (watch::Sender::new(0), watch::Sender::new(0));
        let sides = Sides { arrived, left, open: watch::Sender::new(false), patience };
        Self { sides: Arc::new(sides) }
    }

    /// Arrives at the gate and waits until it is open, without a deadline: the waiter is what a test is about.
    pub async fn pass(&self) {
        self.sides.arrived.send_modify(|count| *count += 1);
        let waiting = Waiting(&self.sides.left);
        let mut open = self.sides.open.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let opened = open.wait_for(|open| *open);
        match self.sides.patience {
            None => drop(opened.await),
            Some(time) => drop(tokio::time::timeout(time, opened).await),
        }
        std::mem::forget(waiting);
    }

    /// Waits until a waiter has left without passing, as a client does that hangs up.
    pub async fn left(&self) {
        let mut left = self.sides.left.subscribe();
        let _ = within("a waiter that leaves a gate", left.wait_for(|left| *left > 0)).await;
    }

    /// Waits until a waiter has arrived.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until `count` have arrived.
    pub async fn reached_by(&self, count: usize) {
        let mut arrived = self.sides.arrived.subscribe();
        let _ = within(&format!("arrival of {count} at a gate"), arrived.wait_for(|arrived| *arrived >= count)).await;
    }

    /// Returns how many have arrived so far.
    pub fn arrived(&self) -> usize {
        *self.sides.arrived.borrow()
    }

    /// Opens the gate, for good.
    pub fn release(&self) {
        self.sides.open.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_arrives_waits_until_the_gate_is_released() {
        let gate = Gate::new();
        let passed = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass().await }
        });
        gate.reached().await;
        assert!(!passed.is_finished());
        gate.release();
        within("the passage", passed).await.unwrap();
    }

    #[tokio::test]
    async fn who_leaves_without_passing_is_seen() {
        let gate = Gate::new();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass().await }
        });
        gate.reached().await;
        waiting.abort();
        gate.left().await;
    }

    #[tokio::test]
    async fn a_gate_with_a_time_opens_after_it_or_when_released() {
        let time = Duration::from_millis(5);
        let gate = Gate::opening_after(time);
        for _ in 0..2 {
            let begun = std::time::Instant::now();
            gate.pass().await;
            assert!(begun.elapsed() >= time, "each waits for itself");
        }
        let gate = Gate::opening_after(Duration::MAX);
        gate.release();
        within("the passage", gate.pass()).await;
        assert_eq!(gate.arrived(), 1);
    }
}
