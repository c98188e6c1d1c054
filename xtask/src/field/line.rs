//! What a script says of a case.

use std::fmt;

/// The verdict about one case, or a script that was left out; with the script's name.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    Passed(String),
    Failed(String),
    Skipped(String),
}

impl Line {
    /// Reads a line of a script; `None` if it is no verdict.
    pub fn parse(script: &str, text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ')?;
        let what = format!("{}: {rest}", name(script));
        match word {
            "ok" => Some(Self::Passed(what)),
            "FAIL" => Some(Self::Failed(what)),
            "skipped" => Some(Self::Skipped(what)),
            _ => None,
        }
    }

    pub fn failed(script: &str, why: &str) -> Self {
        Self::Failed(format!("{}: {why}", name(script)))
    }
}

/// Returns the name of a script without its ending.
fn name(script: &str) -> &str {
    script.trim_end_matches(".sh")
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(what) => write!(f, "ok {what}"),
            Self::Failed(what) => write!(f, "FAIL {what}"),
            Self::Skipped(what) => write!(f, "skipped {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn verdicts_are_read_and_other_lines_are_not() {
        let parse = |text: &str| Line::parse("core/small.sh", text).map(|line| line.to_string());
        assert_eq!(parse("ok escape in a path").unwrap(), "ok core/small: escape in a path");
        assert_eq!(parse("FAIL case: got 1 wanted 0").unwrap(), "FAIL core/small: case: got 1 wanted 0");
        assert_eq!(parse("skipped openssl is missing").unwrap(), "skipped core/small: openssl is missing");
        for other in ["", "ok", "okay then", "kept: a folder", "FAILED x", " ok x", "Ok x"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
