//! An error code as an argument.

use assay_core::code::Code;

/// Parses a code that jobs can fail with.
pub fn parse(text: &str) -> Result<String, String> {
    let known = Code::ALL.iter().find(|code| code.as_str() == text);
    known.map(|code| code.as_str().to_owned()).ok_or_else(|| "unknown code; docs/errors.md lists all codes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_of_those_that_jobs_can_fail_with() {
        assert_eq!(parse("llm_timeout").unwrap(), "llm_timeout");
        assert!(parse("llm_timeouts").unwrap_err().contains("docs/errors.md"));
    }
}
