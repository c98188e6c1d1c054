//! One line of `results.jsonl`: the result of one file.

use assay_core::{ids::FileId, report_diff::Difference};
use serde::{Deserialize, Serialize};

use crate::replay::detail::Detail;

/// The result of a file that cannot be compared.
pub const SKIPPED: &str = "skipped";

/// Every result, in the order of the tables.
pub const RESULTS: [&str; 7] = {
    let [same, changed, accepted, rejected, diverged, fault] = Difference::NAMES;
    [same, changed, accepted, rejected, diverged, fault, SKIPPED]
};

/// The result of one file. A later line of the same file replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultLine {
    pub file_id: FileId,
    /// One of [`RESULTS`].
    pub result: String,
    /// Where the reports differ, RFC 6901. Content: a document may have set the keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pointers: Vec<String>,
    /// The code of a fault, or why the file was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Time in the sandbox, in microseconds.
    #[serde(default)]
    pub guest_micros: u64,
    /// Whether the model was asked for new answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// Expected tokens of new answers, for a file that diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_tokens: Option<u64>,
    /// Kept for the first files of each result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

impl ResultLine {
    pub fn new(file: FileId, result: &str) -> Self {
        Self {
            file_id: file,
            result: result.to_owned(),
            pointers: Vec::new(),
            code: None,
            guest_micros: 0,
            live: false,
            expected_tokens: None,
            detail: None,
        }
    }

    pub fn skipped(file: FileId, code: &str) -> Self {
        Self { code: Some(code.to_owned()), ..Self::new(file, SKIPPED) }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_line_without_details_is_short() {
        let line = serde_json::to_string(&ResultLine::new(FileId(Uuid::nil()), "same")).unwrap();
        assert_eq!(line, r#"{"file_id":"00000000-0000-0000-0000-000000000000","result":"same","guest_micros":0}"#);
        assert_eq!(serde_json::from_str::<ResultLine>(&line).unwrap(), ResultLine::new(FileId(Uuid::nil()), "same"));
    }
}
