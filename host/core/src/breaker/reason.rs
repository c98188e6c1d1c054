//! Why a breaker is open.

/// Why a breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BreakerReason {
    /// Credentials are refused.
    Authentication,
    /// The account's quota is used up.
    Quota,
    /// There is no such model.
    Model,
    /// The bucket does not exist, or its configuration is wrong.
    Bucket,
    /// The clock of this machine is wrong.
    Clock,
    /// A firewall or gateway before the endpoint refuses every document.
    Gateway,
    /// Too many of the last calls failed.
    Failures,
}

impl BreakerReason {
    /// Returns the reason as logs, metrics and docs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Quota => "quota",
            Self::Model => "model",
            Self::Bucket => "bucket",
            Self::Clock => "clock",
            Self::Gateway => "gateway",
            Self::Failures => "failures",
        }
    }
}
