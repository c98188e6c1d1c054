//! Keeps only quotes that occur in the transcript. Every quote that is left out gets a note.

use std::{collections::HashSet, mem};

use assay_guest::{Notes, Transcript};
use serde_json::{Map, Value};

use crate::{
    quote_mark::is_quote_mark,
    spoken_text::{SpokenText, search_key},
    tidy, vtt,
};

/// Limits the quotes that are looked up, because each costs one pass over the transcript.
const MAX_LOOKUPS: usize = 40;

/// The schema's limit for the quotes of a report.
const MAX_QUOTES: usize = 20;

/// Verifies a list of quotes and sorts it in the order of the transcript. Items of another shape stay at the end, for the
/// schema to reject.
pub(crate) fn verify(items: &mut Vec<Value>, transcript: &Transcript, notes: &mut Notes) {
    let mut verifier = Verifier::new(transcript, notes);
    let mut others = Vec::new();
    for item in mem::take(items) {
        match item {
            Value::Object(quote) if quote.get("text").is_some_and(Value::is_string) => verifier.add(quote),
            other => others.push(other),
        }
    }
    items.extend(verifier.finish().into_iter().map(Value::Object));
    items.append(&mut others);
}

struct Verifier<'a> {
    spoken: SpokenText,
    notes: &'a mut Notes,
    lookups: usize,
    found: Vec<FoundQuote>,
    /// Keys as `tidy::key` makes them: another spelling of a quote that was not found may still be found.
    found_keys: HashSet<String>,
    /// Keys as `search_key` makes them.
    missing_keys: HashSet<String>,
}

struct FoundQuote {
    offset: usize,
    fields: Map<String, Value>,
}

impl<'a> Verifier<'a> {
    fn new(transcript: &Transcript, notes: &'a mut Notes) -> Self {
        Self {
            spoken: SpokenText::new(transcript),
            notes,
            lookups: 0,
            found: Vec::new(),
            found_keys: HashSet::new(),
            missing_keys: HashSet::new(),
        }
    }

    fn add(&mut self, mut quote: Map<String, Value>) {
        let text = without_quote_marks(&tidy_field(&mut quote, "text"));
        tidy_field(&mut quote, "speaker");
        // The time of a cue comes from the transcript, never from the model.
        quote.remove("at");
        let key = tidy::key(&text);
        let search_key = search_key(&text);
        if self.found_keys.contains(&key) || self.missing_keys.contains(&search_key) {
            return;
        }
        if self.lookups >= MAX_LOOKUPS {
            let message = "a quote beyond the number that is checked was left out";
            self.notes.add("quote-not-checked", "/quotes", message);
            return;
        }
        self.lookups += 1;
        let Some(offset) = self.spoken.find(&search_key) else {
            let message = "a quote that does not occur in the transcript was left out";
            self.notes.add("quote-not-found", "/quotes", message);
            self.missing_keys.insert(search_key);
            return;
        };
        quote.insert("text".to_owned(), Value::String(text));
        if let Some(ms) = self.spoken.time_ms(offset) {
            quote.insert("at".to_owned(), Value::String(vtt::format_timestamp(ms)));
        }
        self.found.push(FoundQuote { offset, fields: quote });
        self.found_keys.insert(key);
    }

    /// Returns the quotes in the order of the transcript, at most [`MAX_QUOTES`].
    fn finish(mut self) -> Vec<Map<String, Value>> {
        if self.found.len() > MAX_QUOTES {
            self.found.truncate(MAX_QUOTES);
            let message = "quotes beyond the number that a report holds were left out";
            self.notes.add("quotes-left-out", "/quotes", message);
        }
        self.found.sort_by_key(|quote| quote.offset);
        self.found.into_iter().map(|quote| quote.fields).collect()
    }
}

/// Tidies a string field and returns it; removes the field when it is empty.
fn tidy_field(quote: &mut Map<String, Value>, field: &str) -> String {
    let Some(Value::String(text)) = quote.get_mut(field) else {
        return String::new();
    };
    *text = tidy::text(text);
    let tidied = text.clone();
    if tidied.is_empty() {
        quote.remove(field);
    }
    tidied
}

fn without_quote_marks(text: &str) -> String {
    text.trim_matches(|c| is_quote_mark(c) || char::is_whitespace(c)).to_owned()
}

#[cfg(test)]
mod tests {
    use assay_guest::{Notes, Transcript};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::verify;

    fn verified(media_type: &str, text: &str, quotes: Value) -> (Value, Vec<String>) {
        let transcript = Transcript {
            id: "1".into(),
            text: text.into(),
            media_type: media_type.into(),
            filename: String::new(),
            received_at: "2026-03-04T09:30:00Z".into(),
            attributes: vec![],
        };
        let Value::Array(mut items) = quotes else { panic!("a list") };
        let mut notes = Notes::default();
        verify(&mut items, &transcript, &mut notes);
        (Value::Array(items), notes.into_findings().into_iter().map(|note| note.code).collect())
    }

    fn found(text: &str, quote: &str) -> bool {
        verified("text/plain", text, json!([{"text": quote}])).0 != json!([])
    }

    const VTT: &str = "WEBVTT\n\n00:01.000 --> 00:03.000\n<v Anna>We will ship\n\n00:03.000 --> 00:05.000\n<v Anna>on Friday, no\u{a0}matter\n\n01:00:05.000 --> 01:00:07.000\n<v Борис>Всё хорошо!\n";

    #[test]
    fn a_quote_may_span_cues_and_gets_the_time_of_the_first() {
        let (quotes, notes) = verified(
            "text/vtt",
            VTT,
            json!([
                {"text": "все хорошо", "speaker": " Борис ", "at": "09:09:09.000"},
                {"text": "“We will ship on Friday”", "speaker": ""},
                {"text": "on friday no matter what"}
            ]),
        );
        assert_eq!(
            quotes,
            json!([
                {"text": "We will ship on Friday", "at": "00:00:01.000"},
                {"text": "все хорошо", "speaker": "Борис", "at": "01:00:05.000"}
            ])
        );
        assert_eq!(notes, ["quote-not-found"]);
    }

    #[test]
    fn comparison_ignores_only_marks_spaces_and_case() {
        let text = "Anna: It’s \"fine\" —  we\nship… ok? Шрифт «Ёлка» готов.";
        for quote in ["It's fine - we ship... ok", "“it’s fine”", "WE SHIP…", "Шрифт \"Елка\" готов!", "we ship"]
        {
            assert!(found(text, quote), "{quote}");
        }
        for quote in ["It is fine", "we ships", "e ship", "fine ship", "", "…", "\"\""] {
            assert!(!found(text, quote), "{quote}");
        }
    }

    #[test]
    fn quotes_are_kept_once_in_the_order_of_the_transcript() {
        let (quotes, _) = verified(
            "text/plain",
            "one two. three four.",
            json!([{"text": "three four"}, {"text": "One two"}, {"text": "\"one two.\""}]),
        );
        assert_eq!(quotes, json!([{"text": "One two"}, {"text": "three four"}]));
    }

    #[test]
    fn the_number_of_lookups_is_limited() {
        let quotes: Vec<Value> = (0..1000).map(|n| json!({"text": format!("w{n}")})).collect();
        let (kept, notes) = verified("text/plain", "w39 w40 w41", Value::Array(quotes));
        assert_eq!(kept, json!([{"text": "w39"}]));
        assert!(notes.contains(&"quote-not-checked".to_owned()));
    }

    #[test]
    fn a_missing_quote_is_looked_up_only_once() {
        let mut quotes: Vec<Value> =
            (0..100).map(|n| json!({"text": if n % 2 == 0 { "not said" } else { "“Not  said!”" }})).collect();
        quotes.push(json!({"text": "said"}));
        let (kept, notes) = verified("text/plain", "said", Value::Array(quotes));
        assert_eq!(kept, json!([{"text": "said"}]));
        assert_eq!(notes, ["quote-not-found"]);
    }

    #[test]
    fn of_more_quotes_than_a_report_holds_the_first_ones_stay() {
        let text: String = (0..21).map(|n| format!("w{n} ")).collect();
        for (written, expected) in [(20, vec![]), (21, vec!["quotes-left-out"])] {
            let quotes = (0..written).map(|n| json!({"text": format!("w{n}")})).collect();
            let (kept, notes) = verified("text/plain", &text, quotes);
            assert_eq!(
                (kept.as_array().map(Vec::len), notes),
                (Some(20), expected.into_iter().map(str::to_owned).collect())
            );
        }
    }

    #[test]
    fn a_missing_quote_hides_no_other_spelling_of_it() {
        let (kept, notes) =
            verified("text/plain", "well, we ship", json!([{"text": "well we ship"}, {"text": "well, we ship"}]));
        assert_eq!(kept, json!([{"text": "well, we ship"}]));
        assert_eq!(notes, ["quote-not-found"]);
    }

    #[test]
    fn words_are_found_inside_a_match_of_longer_words() {
        assert!(found("aha ha ha done", "ha ha"));
        assert!(found("ага га га", "га га"));
        assert!(!found("aha ha haa", "ha ha"));
        assert!(!found(&"a".repeat(1 << 20), &"a".repeat(600)));
        assert!(!found(&"ab ".repeat(1 << 18), &format!("{}a", "ab ".repeat(200))));
    }

    #[test]
    fn items_that_are_not_quotes_stay_for_the_schema() {
        let odd = json!(["text", {"text": 1}, {}, null]);
        assert_eq!(verified("text/plain", "text", odd.clone()).0, odd);
    }

    proptest! {
        #[test]
        fn any_run_of_words_of_the_transcript_is_found(words in prop::collection::vec("[a-zA-Zа-яА-ЯёЁß0-9]{1,6}", 1..12), from in 0usize..12, len in 1usize..12) {
            let from = from % words.len();
            let to = (from + len).min(words.len());
            let quote = format!(" «{}»… ", words[from..to].join("\t").to_uppercase());
            // "ß" in upper case is "SS", which is another word for the comparison.
            prop_assume!(!quote.contains("SS"));
            prop_assert!(found(&words.join("  \n"), &quote));
        }

        #[test]
        fn a_kept_quote_was_said(text in "[a-c .\n]{0,40}", quote in "[a-c .]{0,10}") {
            if found(&text, &quote) {
                let squeeze = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
                prop_assert!(squeeze(&text).contains(squeeze(&quote).trim_matches(['.', ' '])));
            }
        }
    }
}
