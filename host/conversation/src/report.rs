//! Checks of an accepted report's text, before any check of its schema.

use crate::{
    limits::JobLimits,
    strict_json::{self, StrictJsonError},
};

/// Why a text is not a report. Has no word of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportFault {
    /// Over [`JobLimits::report_bytes`].
    #[error("{bytes} bytes, over {limit} (REPORT_MAX_BYTES)")]
    TooLarge { bytes: usize, limit: usize },
    /// Over [`JobLimits::report_depth`].
    #[error("nested deeper than {limit} (REPORT_MAX_DEPTH)")]
    TooDeep { limit: usize },
    /// Not JSON, or a number or text that some readers refuse. Line and column count from 1.
    #[error("no JSON at line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    /// A name twice in one object: readers differ on which value counts. Line and column count from 1.
    #[error("a name for the second time in one object at line {line}, column {column}")]
    NamedTwice { line: usize, column: usize },
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
        strict_json::check(document).map_err(|error| match error {
            StrictJsonError::NotJson { line, column } => ReportFault::NotJson { line, column },
            StrictJsonError::NamedTwice { line, column } => ReportFault::NamedTwice { line, column },
        })
    }
}

/// Returns the deepest nesting of a JSON text without parsing it. For other texts the number means nothing.
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
    fn a_report_may_be_nested_128_deep() {
        // A verifier reads as deep: host/runtime/tests/it/verifying.rs.
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let limits = JobLimits::default();
        for (levels, passes) in [(127, true), (128, true), (129, false), (1_000_000, false)] {
            assert_eq!(limits.check_report(&nested(levels)).is_ok(), passes, "{levels}");
        }
        assert!(matches!(limits.check_report(&"[".repeat(100)), Err(ReportFault::NotJson { .. })));
    }

    #[test]
    fn a_report_that_is_too_large_or_not_json_is_refused() {
        let limits = JobLimits { report_bytes: 4, ..JobLimits::default() };
        assert_eq!(limits.check_report("[1,2]"), Err(ReportFault::TooLarge { bytes: 5, limit: 4 }));
        assert!(limits.check_report("{").is_err());
        assert!(limits.check_report("[1]").is_ok());
    }
}
