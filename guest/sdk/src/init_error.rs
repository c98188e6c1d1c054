//! Why a guest cannot be initialized.

use std::{error::Error, fmt};

use crate::{SchemaError, TemplateError};

/// Says why a guest cannot be initialized. The guest's author sees it when the build fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitError(String);

impl InitError {
    /// Makes an error from a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InitError {}

impl From<SchemaError> for InitError {
    fn from(error: SchemaError) -> Self {
        Self(error.to_string())
    }
}

impl From<TemplateError> for InitError {
    fn from(error: TemplateError) -> Self {
        Self(error.to_string())
    }
}
