//! A gate: one side waits at it, the other sees that somebody does, and opens it.

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
    /// Who has waited so long passes, though the gate is closed.
    patience: Option<Duration>,
}

/// Somebody at the gate; dropped, who has left without passing.
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
    /// A closed gate.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// A gate that lets everybody pass after this time, and all at once when it is released: for stalls that nobody ends.
    pub fn opening_after(time: Duration) -> Self {
        Self::with(Some(time))
    }

    fn with(patience: Option<Duration>) -> Self {
        let (arrived, left) = (watch::Sender::new(0), watch::Sender::new(0));
        let sides = Sides { arrived, left, open: watch::Sender::new(false), patience };
        Self { sides: Arc::new(sides) }
    }

    /// Arrives at the gate and waits until it is open, without a deadline: whoever waits here is the one being tested.
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

    /// Waits until somebody who was waiting has left without passing, as a client does that hangs up.
    pub async fn left(&self) {
        let mut left = self.sides.left.subscribe();
        let _ = within("somebody who leaves a gate", left.wait_for(|left| *left > 0)).await;
    }

    /// Waits until somebody has arrived.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until `count` have arrived.
    pub async fn reached_by(&self, count: usize) {
        let mut arrived = self.sides.arrived.subscribe();
        let _ = within(&format!("arrival of {count} at a gate"), arrived.wait_for(|arrived| *arrived >= count)).await;
    }

    /// How many have arrived so far.
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
    async fn a_gate_with_a_time_lets_everybody_pass_after_it_and_at_once_when_it_is_released() {
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
