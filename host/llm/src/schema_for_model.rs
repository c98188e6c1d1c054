//! The schema of an answer as the model gets it: without the codes that its author declares for the host.

use std::borrow::Cow;

use assay_core::finding_code::CODES_KEYWORD;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use crate::{adapted::SchemaForm, members::Members, strict};

/// Returns the schema in the form that a request has: in the strict subset, or as it was written.
///
/// # Errors
/// The text is not JSON.
pub(crate) fn schema_for_model(text: &str, form: SchemaForm) -> serde_json::Result<Cow<'_, RawValue>> {
    if form != SchemaForm::Strict {
        return without_codes(text);
    }
    let (strict, _losses) = strict::derive(&serde_json::from_str(text)?);
    to_raw_value(&strict).map(Cow::Owned)
}

/// Returns whether the strict form of a schema is another one.
pub(crate) fn has_strict_form(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|schema| strict::derive(&schema).0 != schema)
}

/// Returns the schema without the codes at its root. The rest stays as it was written, byte by byte.
fn without_codes(text: &str) -> serde_json::Result<Cow<'_, RawValue>> {
    let schema: &RawValue = serde_json::from_str(text)?;
    // Names in a schema may have escapes, so the text is not searched. A schema that is no object declares nothing.
    let Ok(Members(mut members)) = serde_json::from_str::<Members<'_, String>>(text) else {
        return Ok(Cow::Borrowed(schema));
    };
    let count = members.len();
    members.retain(|(name, _)| name != CODES_KEYWORD);
    if members.len() == count {
        return Ok(Cow::Borrowed(schema));
    }
    to_raw_value(&Members(members)).map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> String {
        schema_for_model(text, SchemaForm::AsGiven).unwrap().get().to_owned()
    }

    #[test]
    fn the_codes_at_the_root_are_left_out_and_the_order_stays() {
        let schema = r#"{"type":"object","x-assay-codes":["more"],"required":["b","a"],"properties":{"b":{"maximum":1.0},"a":{}}}"#;
        let expected = r#"{"type":"object","required":["b","a"],"properties":{"b":{"maximum":1.0},"a":{}}}"#;
        assert_eq!(sent(schema), expected);
        assert_eq!(sent(r#"{"x-assay\u002dcodes":"odd","x-assay-codes":[]}"#), "{}");
    }

    #[test]
    fn any_other_schema_stays_as_it_was_written() {
        for schema in [
            r#"{ "type" : "object" }"#,
            r#"{"properties": {"x-assay-codes": {"type": "string"}}}"#,
            r#"{"description": "x-assay-codes"}"#,
            r#"["x-assay-codes"]"#,
            "7",
            "true",
        ] {
            assert_eq!(sent(schema), schema);
        }
        let deep = format!("{}{{}}{}", "{\"not\":".repeat(100_000), "}".repeat(100_000));
        assert_eq!(sent(&deep), deep);
    }

    #[test]
    fn the_strict_form_has_what_every_provider_takes_and_is_its_own_strict_form() {
        let given = r#"{"type":"object","properties":{"day":{"type":"string","format":"date"},"note":{"type":"string"}},"required":["day"]}"#;
        assert!(has_strict_form(given));
        let strict = schema_for_model(given, SchemaForm::Strict).unwrap().get().to_owned();
        let read: Value = serde_json::from_str(&strict).unwrap();
        assert_eq!(read["additionalProperties"], false);
        assert_eq!(read["required"], serde_json::json!(["day", "note"]));
        assert_eq!(read["properties"]["day"].get("format"), None);
        assert!(!has_strict_form(&strict), "{strict}");
    }

    #[test]
    fn a_text_that_is_not_json_is_an_error() {
        for text in ["", "{", r#"{"x-assay-codes":}"#, "{} {}"] {
            assert!(schema_for_model(text, SchemaForm::AsGiven).is_err(), "{text}");
            assert!(schema_for_model(text, SchemaForm::Strict).is_err(), "{text}");
        }
    }
}
