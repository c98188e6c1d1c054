//! A gate: one side waits at it, the other sees that somebody does, and opens it.

use std::sync::Arc;

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
    open: watch::Sender<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { sides: Arc::new(Sides { arrived: watch::Sender::new(0), open: watch::Sender::new(false) }) }
    }

    /// Arrives at the gate and waits until it is open, without a deadline: whoever waits here is the one being tested.
    pub async fn pass(&self) {
        self.sides.arrived.send_modify(|count| *count += 1);
        let mut open = self.sides.open.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = open.wait_for(|open| *open).await;
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
}
