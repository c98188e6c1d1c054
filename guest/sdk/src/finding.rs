//! From schema violations to findings that carry no value of the document.

use crate::Finding;
use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// At most this many findings leave a guest; where there are more, the last one says so.
pub const MAX_FINDINGS: usize = 64;

/// The names that a schema gives to properties. Only these may appear in a pointer or a message: any other name comes
/// from the document and may be as private as its values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// Collects every name under `properties` and in `required`, anywhere in the schema.
    pub(crate) fn of(schema: &Value) -> Self {
        let mut names = BTreeSet::new();
        collect(schema, &mut names);
        Self(names)
    }

    /// `pointer` with each segment that is neither an index of an array nor a known name replaced by `*`.
    pub(crate) fn mask(&self, pointer: &str, document: &Value) -> String {
        let mut masked = String::with_capacity(pointer.len());
        let mut at = Some(document);
        for escaped in pointer.split('/').skip(1) {
            let name = escaped.replace("~1", "/").replace("~0", "~");
            let (shown, next) = match at {
                Some(Value::Array(items)) => (true, name.parse::<usize>().ok().and_then(|index| items.get(index))),
                Some(Value::Object(map)) => (self.0.contains(&name), map.get(&name)),
                _ => (false, None),
            };
            masked.push('/');
            masked.push_str(if shown { escaped } else { "*" });
            at = next;
        }
        masked
    }

    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                names.extend(properties.keys().cloned());
            }
            if let Some(Value::Array(required)) = map.get("required") {
                names.extend(required.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            map.values().for_each(|value| collect(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

/// Turns violations into findings: masked, sorted by pointer and keyword, without repetitions, bounded.
pub(crate) fn collect_findings<'a>(
    errors: impl Iterator<Item = ValidationError<'a>>,
    document: &Value,
    names: &Names,
) -> Vec<Finding> {
    // Bounded before sorting too: even a document that is not large can break a schema ten thousand times.
    let mut findings: Vec<Finding> =
        errors.take(16 * MAX_FINDINGS).map(|error| finding(&error, document, names)).collect();
    findings.sort_by(|a, b| (&a.pointer, &a.code, &a.message).cmp(&(&b.pointer, &b.code, &b.message)));
    findings.dedup();
    bounded(findings)
}

/// The findings about a document that is too large for all its errors: the first one, where it is known, and that there may
/// be others.
pub(crate) fn first_finding(error: Option<ValidationError<'_>>, document: &Value, names: &Names) -> Vec<Finding> {
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

/// The finding about an answer that is no JSON, with what the reader says of it.
pub(crate) fn not_json(message: String) -> Finding {
    Finding { code: "not-json".to_owned(), pointer: String::new(), message }
}

fn bounded(mut findings: Vec<Finding>) -> Vec<Finding> {
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

fn finding(error: &ValidationError<'_>, document: &Value, names: &Names) -> Finding {
    Finding {
        code: error.kind().keyword().chars().take(64).collect(),
        pointer: names.mask(error.instance_path().as_str(), document),
        message: message(error.kind(), names),
    }
}

/// One line that says what is wrong in the schema's words alone; allowed values stay out too, for the answer may hold
/// them and a reader of the log must not learn that.
fn message(kind: &Kind, names: &Names) -> String {
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

/// Remarks that a guest makes while it works on an answer; they go into the report's `notes`.
#[derive(Debug, Default)]
pub struct Notes(Vec<Finding>);

impl Notes {
    /// Adds a remark: a rule's name (`[a-z0-9._-]`), a JSON pointer, and one line that quotes nothing.
    pub fn add(&mut self, code: &str, pointer: impl Into<String>, message: &str) {
        self.0.push(Finding { code: code.to_owned(), pointer: pointer.into(), message: message.to_owned() });
    }

    /// What was added, in order and bounded like findings.
    pub fn into_findings(self) -> Vec<Finding> {
        bounded(self.0)
    }
}
