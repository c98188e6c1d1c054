//! Tidying strings and lists of strings.

use std::collections::HashSet;

use serde_json::Value;

use crate::quote_mark::is_quote_mark;

/// Trims a text and makes every run of white space one space.
pub(crate) fn text(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns a key that is equal for two texts with the same words: lower case, without quote marks and punctuation around
/// words. Signs stay: "+5 %" is not "-5 %", and "C++" is not "C#".
pub(crate) fn key(text: &str) -> String {
    let text = text.replace(is_quote_mark, "");
    let words = text.split_whitespace().map(|word| word.trim_matches(is_punctuation)).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

fn is_punctuation(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '…' | '(' | ')' | '[' | ']' | '*' | '•' | '·' | '—')
}

/// Tidies each string of a list, and removes empty and repeated ones. Other items stay, for the schema to reject.
pub(crate) fn list(items: &mut Vec<Value>) {
    let mut seen = HashSet::new();
    items.retain_mut(|item| match item {
        Value::String(string) => {
            *string = text(string);
            let key = key(string);
            // A text of signs only, such as "…" or "-", counts as empty.
            key.contains(char::is_alphanumeric) && seen.insert(key)
        }
        _ => true,
    });
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{key, list, text};

    fn listed(items: Value) -> Value {
        let Value::Array(mut items) = items else { panic!("a list") };
        list(&mut items);
        Value::Array(items)
    }

    #[test]
    fn lists_lose_empty_and_repeated_items() {
        assert_eq!(
            listed(json!(["  Ship\n it. ", "ship it", "", " ", "—", "Другое", "ДРУГОЕ!", 7, 7, null])),
            json!(["Ship it.", "Другое", 7, 7, null])
        );
    }

    #[test]
    fn texts_with_different_signs_are_not_repetitions() {
        let different = json!(["Revenue +5 %", "Revenue −5 %", "Revenue -5 %", "Revenue 5 %", "C++", "C#", "C"]);
        assert_eq!(listed(different.clone()), different);
        assert_eq!(listed(json!(["Don’t ship, yet!", "«don't ship yet»", "-", "+ %"])), json!(["Don’t ship, yet!"]));
    }

    proptest! {
        #[test]
        fn tidying_is_idempotent_and_trims_white_space(raw in any::<String>()) {
            let once = text(&raw);
            prop_assert_eq!(text(&once), once.clone());
            prop_assert_eq!(once.trim(), once.as_str());
            prop_assert!(!once.contains('\n'));
        }

        #[test]
        fn lists_never_grow_and_hold_each_key_once(items in prop::collection::vec(".{0,6}", 0..12)) {
            let mut values: Vec<Value> = items.iter().cloned().map(Value::String).collect();
            list(&mut values);
            prop_assert!(values.len() <= items.len());
            let keys: Vec<_> = values.iter().filter_map(Value::as_str).map(key).collect();
            let unique: HashSet<_> = keys.iter().collect();
            prop_assert_eq!(unique.len(), keys.len());
            let again = { let mut again = values.clone(); list(&mut again); again };
            prop_assert_eq!(again, values);
        }
    }
}
