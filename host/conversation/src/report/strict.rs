//! Reads a report's JSON as its strictest reader would, and keeps nothing of it.
//!
//! The guest's own check, the host's second one, the database and whoever reads the report may use different parsers, and where a
//! text allows two readings they may not agree. So names are unique within their object, numbers fit a double, and what is
//! escaped in a text is a character.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON document that was read to its end.
pub(super) struct Strict;

/// Why a text is not one; where it is, and not a word of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loose {
    /// No JSON, or a number or text that not every reader takes.
    NotJson { line: usize, column: usize },
    /// A name comes twice in one object.
    NamedTwice { line: usize, column: usize },
}

/// What `Strict` says of a name that comes twice. `serde_json` keeps the words of such an error, and nothing else tells it
/// apart from the parser's own.
const NAMED_TWICE: &str = "a name comes twice";

/// Reads all of `text`.
///
/// Recurses as deep as the text is nested: the caller has looked at [`super::nesting`].
///
/// # Errors
/// [`Loose`].
pub(super) fn read(text: &str) -> Result<(), Loose> {
    let mut json = serde_json::Deserializer::from_str(text);
    // Its own limit is one level below the contract's.
    json.disable_recursion_limit();
    let Err(error) = Strict::deserialize(&mut json).and_then(|_| json.end()) else { return Ok(()) };
    let (line, column) = (error.line(), error.column());
    if error.is_data() && error.to_string().starts_with(NAMED_TWICE) {
        return Err(Loose::NamedTwice { line, column });
    }
    Err(Loose::NotJson { line, column })
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Strict {
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

/// A member's name as it is compared: without its escapes, borrowed where it had none.
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
    fn what_has_one_reading_passes() {
        let document = r#"{"a":[1,-2,3.5e-3,true,null,"\u00e9\ud83d\ude00"],"b":{"a":{"a":[]}},"c":[{"a":1},{"a":1}]}"#;
        assert_eq!(read(document), Ok(()));
        assert_eq!(read(" 7 "), Ok(()));
    }

    #[test]
    fn a_name_that_comes_twice_in_an_object_has_two_readings() {
        for document in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"c":0,"\u0061":2}}]"#, r#"{"":1,"":1}"#] {
            assert!(matches!(read(document), Err(Loose::NamedTwice { line: 1, .. })), "{document}");
        }
    }

    #[test]
    fn what_not_every_reader_takes_is_no_json() {
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
            assert!(matches!(read(document), Err(Loose::NotJson { .. })), "{document:?}");
        }
    }

    #[test]
    fn a_document_cannot_pass_for_the_words_of_the_check() {
        assert!(matches!(read("\"a name comes twice\" x"), Err(Loose::NotJson { .. })));
    }
}
