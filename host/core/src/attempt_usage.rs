//! What an attempt used.

use std::time::Duration;

/// Tokens as the provider counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens of the prompts.
    pub input: i64,
    /// Tokens of the answers.
    pub output: i64,
}

impl Tokens {
    /// The largest count that a provider can mean. A greater one is a fault of the provider, and counts as unknown.
    pub const MAX_PLAUSIBLE: u64 = 1_000_000_000;

    /// Adds what another call used.
    pub fn add(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
    }
}

/// What an attempt used of the model and of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptUsage {
    pub tokens: Tokens,
    /// Time in the sandbox, from instantiation to drop.
    pub guest_time: Duration,
}
