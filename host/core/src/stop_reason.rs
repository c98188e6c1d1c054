//! Why a run is stopped from outside.

/// Why a run is stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Another worker has the claim, or may have it by now: nothing more may be written.
    Lost,
    /// The worker stops: the claim is given back.
    Stopping,
    /// The job was cancelled: it fails.
    Cancelled,
}
