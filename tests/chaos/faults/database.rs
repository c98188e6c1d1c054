//! Faults of the database.

use std::fmt;

use crate::stage::Stage;

/// A fault of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFault {}

impl fmt::Display for DatabaseFault {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl DatabaseFault {
    /// Begins it.
    pub async fn begin(self, _: &Stage) -> anyhow::Result<()> {
        match self {}
    }

    /// Ends it.
    pub async fn end(self, _: &Stage) -> anyhow::Result<()> {
        match self {}
    }
}
