//! What the text of an accepted report must be, before anybody looks at its schema.

mod strict;

use crate::limits::JobLimits;
use strict::Loose;

/// Why a text is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportFault {
    /// Over [`JobLimits::report_bytes`].
    #[error("{bytes} bytes, over {limit} (REPORT_MAX_BYTES)")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Over [`JobLimits::report_depth`].
    #[error("nested deeper than {limit} (REPORT_MAX_DEPTH)")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// No JSON, or a number or text that not every reader takes.
    #[error("no JSON at line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A name comes twice in one object, and readers differ on which of them counts.
    #[error("a name for the second time in one object at line {line}, column {column}")]
    NamedTwice {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}

impl JobLimits {
    /// Whether a text may be a report: JSON with one reading only, not too large and not too deep.
    ///
    /// # Errors
    /// [`ReportFault`].
    pub fn check_report(&self, document: &str) -> Result<(), ReportFault> {
        let (bytes, limit) = (document.len(), self.report_bytes);
        if bytes > limit {
            return Err(ReportFault::TooLarge { bytes, limit });
        }
        if nesting(document) > self.report_depth {
            return Err(ReportFault::TooDeep { limit: self.report_depth });
        }
        strict::read(document).map_err(|loose| match loose {
            Loose::NotJson { line, column } => ReportFault::NotJson { line, column },
            Loose::NamedTwice { line, column } => ReportFault::NamedTwice { line, column },
        })
    }
}

