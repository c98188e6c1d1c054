//! Answers and envelopes that a JSON value cannot hold, or that a careless reader falls over.

use serde_json::{Value, json};

use super::Reply;

/// What is odd about a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// A member with this many lists, each in the one before.
    Nested(usize),
    /// A member that is `NaN`.
    NotANumber,
    /// Its first member, twice.
    NameTwice,
    /// A member with the escape of half a surrogate pair.
    LoneSurrogate,
    /// A byte-order mark before it.
    ByteOrderMark,
}

impl Oddity {
    /// Returns the text of a JSON object, made odd. A member that is added has this name.
    ///
    /// # Panics
    /// If it is no object, or an empty one.
    pub fn of(self, object: &Value, name: &str) -> String {
        let text = object.to_string();
        let members = text.strip_prefix('{').filter(|members| *members != "}").expect("an object with members");
        match self {
            Self::Nested(depth) => format!("{{\"{name}\":{}{},{members}", "[".repeat(depth), "]".repeat(depth)),
            Self::NotANumber => format!("{{\"{name}\":NaN,{members}"),
            Self::NameTwice => {
                let (name, value) = object.as_object().and_then(|map| map.iter().next()).expect("an object");
                format!("{{{}:{value},{members}", json!(name))
            }
            Self::LoneSurrogate => format!("{{\"{name}\":\"\\ud800\",{members}"),
            Self::ByteOrderMark => format!("\u{feff}{text}"),
        }
    }
}

impl Reply {
    /// Makes the text of the answer odd where it is a JSON object: the guest's to judge.
    #[must_use]
    pub fn odd_text(self, oddity: Oddity) -> Self {
        self.edit(|completion| {
            let text = &mut completion["choices"][0]["message"]["content"];
            if let Some(document @ Value::Object(_)) = text.as_str().and_then(|text| serde_json::from_str(text).ok()) {
                *text = oddity.of(&document, "odd").into();
            }
        })
    }

    /// Makes the completion around the answer odd: the host's to read. The member that is added is one that every reader knows.
    #[must_use]
    pub fn odd_envelope(mut self, oddity: Oddity) -> Self {
        const NAME: &str = "usage";
        if !matches!(oddity, Oddity::NameTwice | Oddity::ByteOrderMark) {
            self = self.edit(|completion| drop(completion.as_object_mut().and_then(|members| members.remove(NAME))));
        }
        self.rewrite(|completion| oddity.of(completion, NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_oddity_is_what_it_says() {
        let object = json!({ "a": 1, "b": [] });
        assert_eq!(Oddity::Nested(3).of(&object, "n"), r#"{"n":[[[]]],"a":1,"b":[]}"#);
        assert_eq!(Oddity::NotANumber.of(&object, "n"), r#"{"n":NaN,"a":1,"b":[]}"#);
        assert_eq!(Oddity::NameTwice.of(&object, "n"), r#"{"a":1,"a":1,"b":[]}"#);
        assert_eq!(Oddity::LoneSurrogate.of(&object, "n"), r#"{"n":"\ud800","a":1,"b":[]}"#);
        assert_eq!(Oddity::ByteOrderMark.of(&object, "n").as_bytes()[..4], *b"\xef\xbb\xbf{");
    }
}
