//! A rejection taken apart: its kind, the guest's words, and the findings.

use assay_runtime::{Finding, Rejection};

/// Why a guest made no report. Content but for the kind.
#[derive(Clone, Debug)]
pub struct RejectionReasons {
    /// `not_json`, `invalid`, `unsupported` or `other`.
    pub kind: &'static str,
    /// The guest's words. Content.
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
