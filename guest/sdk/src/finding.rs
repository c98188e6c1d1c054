//! Turns schema violations into findings that hold no value of the document.

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

use crate::{Finding, property_names::PropertyNames};

/// Limits the findings of one document, and the notes of one report. When there are more, the last one says so.
pub const MAX_FINDINGS: usize = 64;

/// Limits the errors that are sorted: even a small document can break a schema ten thousand times.
const MAX_SORTED_ERRORS: usize = 16 * MAX_FINDINGS;

/// The contract's limit for a finding's code.
const MAX_CODE_CHARS: usize = 64;

/// Turns violations into findings: masked, sorted by pointer and keyword, each once, at most [`MAX_FINDINGS`].
pub(crate) fn collect_findings<'a>(
    errors: impl Iterator<Item = ValidationError<'a>>,
    document: &Value,
    names: &PropertyNames,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        errors.take(MAX_SORTED_ERRORS).map(|error| finding(&error, document, names)).collect();
    findings.sort_by(|a, b| (&a.pointer, &a.code, &a.message).cmp(&(&b.pointer, &b.code, &b.message)));
    findings.dedup();
    bounded(findings)
}

/// Returns the findings about a document that is too large to collect all its errors: the first error, if known, and a
/// note that there may be more.
pub(crate) fn first_finding(
    error: Option<ValidationError<'_>>,
    document: &Value,
    names: &PropertyNames,
) -> Vec<Finding> {
    let whole = |code: &str, message: &str| Finding {
        code: code.to_owned(),
        pointer: String::new(),
        message: message.to_owned(),
    };
    match error {
        Some(error) => {
            let more = whole("more", "the document is too large to look for further findings");
            vec![finding(&error, document, names), more]
        }
        None => vec![whole("schema", "breaks its schema, and is too large to say where")],
    }
}

/// Returns the finding about text that is not JSON; `message` is the parser's error.
pub(crate) fn not_json(message: String) -> Finding {
    Finding { code: "not-json".to_owned(), pointer: String::new(), message }
}

/// Keeps the first [`MAX_FINDINGS`]; when some are dropped, the last one kept says so.
pub(crate) fn bounded(mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.len() > MAX_FINDINGS {
        findings.truncate(MAX_FINDINGS - 1);
        findings.push(Finding {
            code: "more".to_owned(),
            pointer: String::new(),
            message: "further findings were left out".to_owned(),
        });
    }
    findings
}

fn finding(error: &ValidationError<'_>, document: &Value, names: &PropertyNames) -> Finding {
    Finding {
        code: error.kind().keyword().chars().take(MAX_CODE_CHARS).collect(),
        pointer: names.mask(error.instance_path().as_str(), document),
        message: message(error.kind(), names),
    }
}

/// Returns one line that uses only the schema's words. Allowed values stay out: an answer may hold one of them, and
/// readers of a finding must not learn that.
fn message(kind: &Kind, names: &PropertyNames) -> String {
    match kind {
        Kind::AdditionalItems { limit } => format!("holds more than {limit} items"),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            format!("holds {} properties that the schema does not name", unexpected.len())
        }
        Kind::AnyOf { .. } => "matches none of the alternatives".to_owned(),
        Kind::OneOfNotValid { .. } => "matches none of the alternatives".to_owned(),
        Kind::OneOfMultipleValid { .. } => "matches more than one of the alternatives".to_owned(),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "could not be held against its pattern".to_owned()
        }
        Kind::Constant { .. } => "is not the required constant".to_owned(),
        Kind::Contains => "holds no item of the required kind".to_owned(),
        Kind::ContentEncoding { .. } | Kind::FromUtf8 { .. } => "is not encoded as required".to_owned(),
        Kind::ContentMediaType { .. } => "is not of the required media type".to_owned(),
        Kind::Enum { .. } => "is none of the allowed values".to_owned(),
        Kind::ExclusiveMaximum { limit } => format!("must be below {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be above {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::FalseSchema => "is not allowed here".to_owned(),
        Kind::Format { format } => format!("is not a valid {format}"),
        Kind::MaxItems { limit } => format!("holds more than {limit} items"),
        Kind::MinItems { limit } => format!("holds fewer than {limit} items"),
        Kind::MaxLength { limit } => format!("is longer than {limit} characters"),
        Kind::MinLength { limit } => format!("is shorter than {limit} characters"),
        Kind::MaxProperties { limit } => format!("holds more than {limit} properties"),
        Kind::MinProperties { limit } => format!("holds fewer than {limit} properties"),
        Kind::MultipleOf { multiple_of } => format!("is no multiple of {multiple_of}"),
        Kind::Not { .. } => "matches what it must not match".to_owned(),
        Kind::Pattern { .. } => "does not match its pattern".to_owned(),
        Kind::PropertyNames { .. } => "holds a property whose name is not allowed".to_owned(),
        Kind::Required { property } => match property.as_str().filter(|name| names.contains(name)) {
            Some(name) => format!("lacks the property {name}"),
            None => "lacks a required property".to_owned(),
        },
        Kind::Type { kind: TypeKind::Single(wanted) } => format!("must be of type {wanted}"),
        Kind::Type { .. } => "is of none of the allowed types".to_owned(),
        Kind::UnevaluatedItems { unexpected } => {
            format!("holds {} items that the schema does not describe", unexpected.len())
        }
        Kind::UniqueItems => "holds the same item twice".to_owned(),
        _ => "breaks its schema".to_owned(),
    }
}
