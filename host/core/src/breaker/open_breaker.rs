//! An open breaker as operators see it.

use serde::{Deserialize, Serialize};

/// An open breaker as operators see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenBreaker {
    /// `model`, `model:ALIAS`, `bucket` or `database`.
    pub dependency: String,
    /// Why it is open.
    pub reason: String,
    /// The code of the call that opened it, as in docs/errors.md.
    pub code: String,
    /// Seconds since it opened.
    pub open_seconds: u64,
    /// Seconds until the next probe; 0 where a probe is due or under way.
    pub next_probe_seconds: u64,
    /// What the operator can do, as in docs/errors.md.
    pub cure: String,
}
