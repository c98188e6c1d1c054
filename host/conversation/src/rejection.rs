//! A guest's rejection as kind, message and findings.

use std::fmt;

use assay_runtime::{Finding, Rejection};

/// Why a guest made no report. `Debug` shows the kind alone: the rest is content.
#[derive(Clone)]
pub struct RejectionReasons {
    /// `not_json`, `invalid`, `unsupported` or `other`.
    pub kind: &'static str,
    /// The guest's message. Content.
    pub message: String,
    /// The findings of `invalid`. Content.
    pub findings: Vec<Finding>,
}

impl From<Rejection> for RejectionReasons {
    fn from(rejection: Rejection) -> Self {
        let (kind, message, findings) = match rejection {
            Rejection::NotJson(message) => ("not_json", message, Vec::new()),
            Rejection::Invalid(findings) => ("invalid", String::new(), findings),
            Rejection::Unsupported(message) => ("unsupported", message, Vec::new()),
            Rejection::Other((code, message)) => ("other", format!("{code}: {message}"), Vec::new()),
        };
        Self { kind, message, findings }
    }
}

impl fmt::Debug for RejectionReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectionReasons").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_view_shows_no_content() {
        let reasons = RejectionReasons::from(Rejection::Unsupported("a secret".to_owned()));
        assert_eq!(format!("{reasons:?}"), "RejectionReasons { kind: \"unsupported\", .. }");
    }
}
