//! A report's schema: parsed and compiled once, with the stricter variant for the model.

use std::{error::Error, fmt};

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::{
    Finding,
    finding::{collect_findings, first_finding},
    json, large_document,
    property_names::PropertyNames,
    strict,
};

/// The only dialect of schemas; `$schema` may be missing.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Limits one compiled pattern, and separately its cache, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Says why a schema cannot be used. The schema's author reads it, so it may quote the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError(String);

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for SchemaError {}

/// Holds a compiled JSON Schema 2020-12: formats asserted, unknown formats refused, linear-time patterns, no remote `$ref`.
#[derive(Debug)]
pub struct Schema {
    text: String,
    canonical: Value,
    answer: Value,
    losses: Vec<strict::Loss>,
    validator: Validator,
    names: PropertyNames,
    errors_are_small: bool,
}

impl Schema {
    /// Parses and compiles a schema.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] when the text is not a JSON object, names another dialect, breaks the meta-schema, has a pattern
    /// with look-around or back-references, an unknown format, or a reference to another document.
    pub fn compile(text: &str) -> Result<Self, SchemaError> {
        let canonical = json::parse(text).map_err(|error| SchemaError(format!("schema is not JSON: {error}")))?;
        if !canonical.is_object() {
            return Err(SchemaError("schema is not a JSON object".to_owned()));
        }
        match canonical.get("$schema") {
            None => {}
            Some(Value::String(dialect)) if dialect.trim_end_matches('#') == DIALECT => {}
            Some(other) => return Err(SchemaError(format!("invalid $schema {other}: expected {DIALECT}"))),
        }
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_pattern_options(
                PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES),
            )
            .offline()
            .build(&canonical)
            .map_err(|error| SchemaError(format!("schema at \"{}\": {error}", error.instance_path())))?;
        let (answer, losses) = strict::derive(&canonical);
        Ok(Self {
            text: text.to_owned(),
            names: PropertyNames::of(&canonical),
            errors_are_small: large_document::errors_are_small(&canonical),
            canonical,
            answer,
            losses,
            validator,
        })
    }

    /// Returns the schema as its author wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the stricter variant that the model gets; see [`strict`].
    pub fn answer_schema(&self) -> &Value {
        &self.answer
    }

    pub(crate) fn change_answer_schema(&mut self, change: fn(&mut Value)) {
        change(&mut self.answer);
    }

    /// Returns what the stricter variant cannot express.
    pub fn losses(&self) -> &[strict::Loss] {
        &self.losses
    }

    /// Removes the nulls that the stricter variant makes the model write for missing properties.
    pub fn strip_nulls(&self, document: &mut Value) {
        // Most answers hold no null, and this check is faster than a walk along the schema.
        if !strict::holds_null(document) {
            return;
        }
        strict::strip_nulls(document, &self.canonical);
    }

    /// Returns how a document breaks the schema; empty means valid.
    ///
    /// Findings are sorted by pointer and hold no value of the document. There are at most
    /// [`MAX_FINDINGS`](crate::MAX_FINDINGS), and at most 2 for a document of over 2,000 values.
    pub fn findings(&self, document: &Value) -> Vec<Finding> {
        // Most documents are valid, and `is_valid` is faster than collecting errors.
        if self.validator.is_valid(document) {
            return Vec::new();
        }
        if large_document::is_large(document) {
            let error = self.errors_are_small.then(|| self.validator.validate(document).err()).flatten();
            return first_finding(error, document, &self.names);
        }
        collect_findings(self.validator.iter_errors(document), document, &self.names)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Schema;
    use crate::MAX_FINDINGS;

    fn compile(schema: &Value) -> Result<Schema, String> {
        Schema::compile(&schema.to_string()).map_err(|error| error.to_string())
    }

    fn findings(schema: &Value, document: &Value) -> Vec<(String, String, String)> {
        let found = compile(schema).expect("test schemas compile").findings(document);
        found.into_iter().map(|f| (f.pointer, f.code, f.message)).collect()
    }

    #[test]
    fn declared_codes_constrain_no_document() {
        let schema = json!({"type": "object", "x-assay-codes": ["more"], "additionalProperties": false});
        assert_eq!(findings(&schema, &json!({})), []);
        assert_eq!(findings(&schema, &json!({"x-assay-codes": []})).len(), 1);
    }

    #[test]
    fn findings_are_sorted_by_pointer_and_keyword() {
        let schema =
            json!({"properties": {"a": {"type": "string", "maxLength": 2}, "b": {"minimum": 3}}, "required": ["c"]});
        let found = findings(&schema, &json!({"b": 1, "a": "long"}));
        let places: Vec<_> = found.iter().map(|(pointer, code, _)| (pointer.as_str(), code.as_str())).collect();
        assert_eq!(places, [("", "required"), ("/a", "maxLength"), ("/b", "minimum")]);
        assert_eq!(found[0].2, "lacks the property c");
    }

    #[test]
    fn a_finding_holds_no_value_and_no_unknown_name() {
        let schema = json!({
            "type": "object",
            "properties": {
                "kind": {"enum": ["public-constant"]},
                "one": {"const": "public-constant"},
                "date": {"type": "string", "format": "date"},
                "code": {"type": "string", "pattern": "^public-constant$"},
                "any": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "items": {"type": "array", "uniqueItems": true, "items": {"type": "integer", "maximum": 3}},
                "map": {"type": "object", "propertyNames": {"maxLength": 3}, "additionalProperties": {"type": "integer"}}
            },
            "additionalProperties": false
        });
        let document = json!({
            "kind": "marker", "one": "marker", "date": "marker", "code": "marker", "any": {"marker": "marker"},
            "items": ["marker", "marker", 77123], "map": {"marker": "marker", "79161234567": "marker"}, "marker": "marker"
        });
        let found = findings(&schema, &document);
        let codes: Vec<_> = found.iter().map(|(_, code, _)| code.as_str()).collect();
        for code in [
            "additionalProperties",
            "anyOf",
            "const",
            "enum",
            "format",
            "pattern",
            "propertyNames",
            "type",
            "uniqueItems",
        ] {
            assert!(codes.contains(&code), "{code} is missing in {codes:?}");
        }
        let text = format!("{found:?}");
        for secret in ["marker", "79161234567", "77123", "public-constant"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(found.iter().any(|(pointer, ..)| pointer == "/map/*"));
        assert!(found.iter().any(|(pointer, ..)| pointer == "/items/2"));
    }

    #[test]
    fn pointers_are_escaped_as_rfc_6901_says() {
        let schema = json!({"properties": {"a/b~c": {"type": "string"}}});
        assert_eq!(findings(&schema, &json!({"a/b~c": 1}))[0].0, "/a~1b~0c");
    }

    #[test]
    fn findings_are_limited_and_the_last_one_says_so() {
        let schema = json!({"items": {"type": "string"}});
        let document = Value::Array((0..1_000).map(Value::from).collect());
        let found = findings(&schema, &document);
        assert_eq!(found.len(), MAX_FINDINGS);
        assert_eq!(found.last().map(|(_, code, _)| code.as_str()), Some("more"));
    }

    #[test]
    fn a_large_document_has_only_its_first_error() {
        let mut items = vec![json!("text"); 10_000];
        items[7_000] = json!(7);
        items[8_000] = json!({});
        let strings = json!({"items": {"type": "string"}});
        let found = findings(&json!({"properties": {"list": strings}}), &json!({"list": items}));
        let places: Vec<_> = found.iter().map(|(pointer, code, _)| (pointer.as_str(), code.as_str())).collect();
        assert_eq!(places, [("/list/7000", "type"), ("", "more")]);
        // The error of an alternative would hold one error per item.
        let found = findings(&json!({"properties": {"list": {"anyOf": [strings]}}}), &json!({"list": items}));
        let places: Vec<_> = found.iter().map(|(pointer, code, _)| (pointer.as_str(), code.as_str())).collect();
        assert_eq!(places, [("", "schema")]);
        assert!(findings(&strings, &Value::Array(vec![json!("text"); 10_000])).is_empty());
    }

    #[test]
    fn formats_are_asserted_and_unknown_formats_refused() {
        let schema = json!({"properties": {"d": {"format": "date"}}});
        assert_eq!(findings(&schema, &json!({"d": "2026-02-30"}))[0].2, "is not a valid date");
        assert!(findings(&schema, &json!({"d": "2026-02-28"})).is_empty());
        assert!(compile(&json!({"format": "shoe-size"})).is_err());
    }

    #[test]
    fn only_linear_time_patterns_compile() {
        assert!(compile(&json!({"pattern": "^(a+)+$"})).is_ok());
        assert!(compile(&json!({"pattern": "(?=look)around"})).is_err());
        assert!(compile(&json!({"pattern": "(back)\\1"})).is_err());
        assert!(compile(&json!({"pattern": "(x{1000}){1000}"})).is_err(), "a pattern bomb");
    }

    #[test]
    fn a_pattern_that_would_backtrack_forever_answers_at_once() {
        let schema = json!({"pattern": "^(a+)+$"});
        assert_eq!(findings(&schema, &json!("a".repeat(50_000) + "!"))[0].1, "pattern");
    }

    #[test]
    fn references_stay_inside_the_document() {
        assert!(compile(&json!({"$ref": "https://example.com/schema.json"})).is_err());
        assert!(compile(&json!({"$ref": "file:///etc/passwd"})).is_err());
        assert!(compile(&json!({"$ref": "other.json"})).is_err());
        let local = json!({"$defs": {"s": {"type": "string"}}, "items": {"$ref": "#/$defs/s"}});
        assert_eq!(findings(&local, &json!([1]))[0].0, "/0");
    }

    #[test]
    fn schemas_of_other_dialects_and_invalid_ones_are_refused() {
        assert!(Schema::compile("{").is_err());
        assert!(Schema::compile("true").is_err());
        assert!(compile(&json!({"type": "strnig"})).is_err());
        assert!(compile(&json!({"$schema": "http://json-schema.org/draft-07/schema#"})).is_err());
        assert!(compile(&json!({"$schema": super::DIALECT})).is_ok());
    }
}
