//! Checks a report's JSON as the strictest reader would.
//!
//! The guest's check, the host's second check, the database and the readers of a report may use different parsers, which may
//! read an ambiguous text in different ways. So names are unique within their object, numbers fit a double, and escapes are
//! characters.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON document, read to its end.
struct StrictJson;

/// Why a text is not strict JSON, by place and without a word of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StrictJsonError {
    /// Not JSON, or a number or text that some readers refuse.
    NotJson { line: usize, column: usize },
    /// A name twice in one object.
    NamedTwice { line: usize, column: usize },
}

/// Only this text distinguishes our error from the parser's own: `serde_json` keeps the text.
const NAMED_TWICE: &str = "a name comes twice";

/// Reads all of `text`.
///
/// Recurses as deep as the text is nested: the caller must check the nesting first.
///
/// # Errors
/// [`StrictJsonError`].
pub(crate) fn check(text: &str) -> Result<(), StrictJsonError> {
    let mut json = serde_json::Deserializer::from_str(text);
    // The parser's own limit is one level below the contract's.
    json.disable_recursion_limit();
    let Err(error) = StrictJson::deserialize(&mut json).and_then(|_| json.end()) else { return Ok(()) };
    let (line, column) = (error.line(), error.column());
    if error.is_data() && error.to_string().starts_with(NAMED_TWICE) {
        return Err(StrictJsonError::NamedTwice { line, column });
    }
    Err(StrictJsonError::NotJson { line, column })
}

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for StrictJson {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON document")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(Name(name)) = members.next_key()? {
            if !names.insert(name) {
                return Err(A::Error::custom(NAMED_TWICE));
            }
            members.next_value::<Self>()?;
        }
        Ok(self)
    }
}

/// A member's name without its escapes.
#[derive(PartialEq, Eq, Hash)]
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unambiguous_json_passes() {
        let document = r#"{"a":[1,-2,3.5e-3,true,null,"\u00e9\ud83d\ude00"],"b":{"a":{"a":[]}},"c":[{"a":1},{"a":1}]}"#;
        assert_eq!(check(document), Ok(()));
        assert_eq!(check(" 7 "), Ok(()));
    }

    #[test]
    fn a_name_twice_in_an_object_is_refused() {
        for document in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"c":0,"\u0061":2}}]"#, r#"{"":1,"":1}"#] {
            assert!(matches!(check(document), Err(StrictJsonError::NamedTwice { line: 1, .. })), "{document}");
        }
    }

    #[test]
    fn json_that_some_readers_refuse_is_not_json() {
        let documents = [
            "",
            "{",
            "{} {}",
            "[1,]",
            "NaN",
            "1e400",
            r#""\ud800""#,
            "\"\u{0}\"",
            "\u{feff}{}",
            "{'a':1}",
            "// {}\n{}",
            r#"{"a" 1}"#,
            "01",
        ];
        for document in documents {
            assert!(matches!(check(document), Err(StrictJsonError::NotJson { .. })), "{document:?}");
        }
    }

    #[test]
    fn a_document_cannot_imitate_the_text_of_the_check() {
        assert!(matches!(check("\"a name comes twice\" x"), Err(StrictJsonError::NotJson { .. })));
    }
}
