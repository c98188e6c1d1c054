//! Indents JSON without changing the order of its keys or its numbers.
//!
//! Parsing it would sort keys and round numbers.

/// Indents a JSON document. Other text gets odd line breaks, but loses nothing.
///
/// Escapes control characters that JSON allows unescaped (DEL and C1), because some terminals obey them.
pub fn reindent(document: &str) -> String {
    let mut out = String::with_capacity(document.len() * 5 / 4);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut chars = document.trim().chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            if c.is_control() {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                out.push(c);
            }
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|next| next.is_whitespace()).is_some() {}
                // Keeps `{}` and `[]` on one line.
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out.push('\n');
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn order_and_numbers_stay_and_empty_ones_stay_on_their_line() {
        let document = r#"{"z":1.10,"a":[],"text":"a \"b\": [c], \\","list":[ {"k" : null} , { } ]}"#;
        let expected = r#"{
  "z": 1.10,
  "a": [],
  "text": "a \"b\": [c], \\",
  "list": [
    {
      "k": null
    },
    {}
  ]
}
"#;
        assert_eq!(reindent(document), expected);
    }

    #[test]
    fn nothing_in_a_string_steers_the_terminal() {
        assert_eq!(reindent("\"a\u{9b}2J\u{7f}\""), "\"a\\u009b2J\\u007f\"\n");
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::hash_map(".*", inner, 0..5)
                    .prop_map(|map| { serde_json::Value::Object(map.into_iter().collect()) }),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_document_stays_the_same_document(value in json()) {
            let shown = reindent(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
