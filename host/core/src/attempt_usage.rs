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

/// What an attempt used of the model and of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptUsage {
    pub tokens: Tokens,
    /// Time in the sandbox, from instantiation to drop.
    pub guest_time: Duration,
}
