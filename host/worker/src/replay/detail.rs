//! The details of a difference, cut to a readable length. Content: only the folder of the replay may hold it.

use assay_conversation::RejectionReasons;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::replay::engine::Evidence;

/// Characters shown of one value.
const MAX_SHOWN_CHARS: usize = 1500;
/// Places, findings or questions shown of one file.
const MAX_SHOWN_PARTS: usize = 20;

/// The details of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<ChangedValue>,
    /// The report of a file that had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Why there is no report now: the kind of the rejection, and the guest's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<ShownFinding>,
    /// Questions without a stored answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<String>,
}

/// A value that differs between two reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedValue {
    /// RFC 6901.
    pub pointer: String,
    /// JSON; `None` if the value is new.
    pub before: Option<String>,
    /// JSON; `None` if the value is gone.
    pub after: Option<String>,
}

/// A finding of the guest, cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownFinding {
    pub code: String,
    /// RFC 6901.
    pub pointer: String,
    /// The guest's words.
    pub message: String,
}

impl Detail {
    pub fn of(evidence: &Evidence, pointers: &[String]) -> Self {
        match evidence {
            Evidence::None => Self::default(),
            Evidence::Reports(pair) => {
                let place = |pointer: &String| ChangedValue {
                    pointer: cut(pointer),
                    before: pair.before.pointer(pointer).map(pretty),
                    after: pair.after.pointer(pointer).map(pretty),
                };
                Self { places: pointers.iter().take(MAX_SHOWN_PARTS).map(place).collect(), ..Self::default() }
            }
            Evidence::Report(document) => {
                let report = serde_json::from_slice(document).map_or_else(|_| String::new(), |value| pretty(&value));
                Self { report: Some(report), ..Self::default() }
            }
            Evidence::Rejection(RejectionReasons { kind, message, findings }) => {
                let reason = if message.is_empty() { (*kind).to_owned() } else { format!("{kind}: {message}") };
                let found = findings.iter().take(MAX_SHOWN_PARTS).map(|finding| ShownFinding {
                    code: cut(&finding.code),
                    pointer: cut(&finding.pointer),
                    message: cut(&finding.message),
                });
                Self { reason: Some(cut(&reason)), findings: found.collect(), ..Self::default() }
            }
            Evidence::Questions(prompts) => {
                let question = |prompt: &assay_runtime::Prompt| {
                    let messages = prompt.messages.iter();
                    // The last message differs from file to file, and the first ones are the guest's own.
                    let shares = messages.map(|message| (&message.role, cut(&message.content)));
                    shares.map(|(role, content)| format!("{role}: {content}")).collect::<Vec<_>>().join("\n\n")
                };
                Self { questions: prompts.iter().take(MAX_SHOWN_PARTS).map(question).collect(), ..Self::default() }
            }
            Evidence::Fault(error) => Self { reason: Some(error.chain()), ..Self::default() },
        }
    }
}

fn pretty(value: &Value) -> String {
    let text = match serde_json::to_string_pretty(value) {
        Ok(text) => text,
        Err(_) => value.to_string(),
    };
    cut(&text)
}

/// Returns the beginning of a text, and how many bytes are left out.
fn cut(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(MAX_SHOWN_CHARS) else { return text.to_owned() };
    format!("{}… ({} more bytes)", &text[..end], text.len() - end)
}

#[cfg(test)]
mod tests {
    use assay_core::report_diff::ReportPair;
    use serde_json::json;

    use super::*;

    #[test]
    fn both_values_are_shown_and_a_missing_one_is_none() {
        let pair = ReportPair { before: json!({"a": [1], "gone": true}), after: json!({"a": [2], "new": {"x": 1}}) };
        let pointers = ["/a/0", "/gone", "/new"].map(str::to_owned);
        let detail = Detail::of(&Evidence::Reports(pair), &pointers);
        let place = |pointer: &str, before: Option<&str>, after: Option<&str>| ChangedValue {
            pointer: pointer.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let expected = [
            place("/a/0", Some("1"), Some("2")),
            place("/gone", Some("true"), None),
            place("/new", None, Some("{\n  \"x\": 1\n}")),
        ];
        assert_eq!(detail.places, expected);
    }

    #[test]
    fn a_long_value_is_cut_between_two_characters() {
        let shown = cut(&"ж".repeat(MAX_SHOWN_CHARS + 3));
        assert_eq!(shown, format!("{}… (6 more bytes)", "ж".repeat(MAX_SHOWN_CHARS)));
        assert_eq!(cut("short"), "short");
    }
}
