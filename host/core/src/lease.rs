//! The fence of a claim: every write names the job and the token of its claim.

use std::fmt;

use crate::ids::JobId;

/// Grows at each claim of a job and never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseToken(pub i64);

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job and the token of its current claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub job: JobId,
    pub token: LeaseToken,
}
