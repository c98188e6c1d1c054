//! Breakers: while a dependency does not work, jobs that need it are not claimed.

mod call_result;
mod circuit;
mod dependency;
mod open_breaker;
pub(crate) mod reason;

#[cfg(test)]
mod tests;

pub use call_result::CallResult;
pub use circuit::{Breaker, BreakerChanges, BreakerFault};
pub use dependency::{Alias, Dependency};
pub use open_breaker::OpenBreaker;
pub use reason::BreakerReason;
