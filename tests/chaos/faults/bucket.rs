//! Faults of the bucket.

use std::fmt;

use crate::stage::Stage;

/// A fault of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketFault {}

impl fmt::Display for BucketFault {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl BucketFault {
    /// Begins it.
    pub async fn begin(self, _: &Stage) -> anyhow::Result<()> {
        match self {}
    }

    /// Ends it.
    pub async fn end(self, _: &Stage) -> anyhow::Result<()> {
        match self {}
    }
}
