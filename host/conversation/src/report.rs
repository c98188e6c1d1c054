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
    /// Checks that a text may be a report: JSON with one reading only, not too large and not too deep.
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

/// The deepest nesting of a JSON text, without building anything. For a text that is no JSON the number means nothing.
pub fn nesting(document: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in document.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        assert_eq!(nesting(r#"{"a": [1, {"b": "[[[\"[["}]}"#), 3);
        assert_eq!(nesting("7"), 0);
    }

    #[test]
    fn a_report_may_be_nested_128_deep_and_a_million_is_refused_without_parsing_it() {
        // As deep as a verifier reads: host/runtime/tests/it/verifying.rs.
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let limits = JobLimits::default();
        for (levels, passes) in [(127, true), (128, true), (129, false), (1_000_000, false)] {
            assert_eq!(limits.check_report(&nested(levels)).is_ok(), passes, "{levels}");
        }
        assert!(matches!(limits.check_report(&"[".repeat(100)), Err(ReportFault::NotJson { .. })));
    }

    #[test]
    fn a_report_over_its_size_and_one_that_is_no_json_are_refused() {
        let limits = JobLimits { report_bytes: 4, ..JobLimits::default() };
        assert_eq!(limits.check_report("[1,2]"), Err(ReportFault::TooLarge { bytes: 5, limit: 4 }));
        assert!(limits.check_report("{").is_err());
        assert!(limits.check_report("[1]").is_ok());
    }
}
