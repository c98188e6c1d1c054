//! The breakers of a worker, and the inquiries that open and close them.

mod breaker_set;
mod inquiry;
#[cfg(test)]
mod tests;

pub use breaker_set::Breakers;
pub use inquiry::Inquiries;
