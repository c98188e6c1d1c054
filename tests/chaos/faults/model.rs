//! Faults of the model.

use std::fmt;

use crate::stage::Stage;

/// A fault of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFault {}

impl fmt::Display for ModelFault {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl ModelFault {
    /// Begins it.
    pub async fn begin(self, _: &Stage) -> anyhow::Result<()> {
        match self {}
    }

    /// Ends it.
    pub async fn end(self, _: &Stage) -> anyhow::Result<()> {
        match self {}
    }
}
