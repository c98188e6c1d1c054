//! Quotes must occur in the transcript. Compared without case, quote marks and kinds of white space or dash; a quote may span cues.
//! What does not occur is left out, with a note.

use crate::{tidy, vtt};
use assay_guest::{Notes, Transcript};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// How many quotes are looked up: each costs one walk over the transcript. The rest is left out with a note.
const MAX_LOOKED_UP: usize = 40;

/// How much a quote may cost in places where it is found and is no whole words, in bytes.
const MAX_COMPARED: usize = 1 << 24;

/// How many quotes the schema allows.
const MAX_KEPT: usize = 20;

/// Verifies a list of quotes and puts it in the order of the transcript. What is no quote at all stays for the schema to judge.
pub(crate) fn verify(items: &mut Vec<Value>, transcript: &Transcript, notes: &mut Notes) {
    let spoken = Spoken::of(transcript);
    let mut seen = HashSet::new();
    let mut missed = HashSet::new();
    let mut kept = Vec::new();
    let mut others = Vec::new();
    let mut looked_up = 0_usize;
    for item in items.drain(..) {
        let mut quote = match item {
            Value::Object(quote) if quote.get("text").is_some_and(Value::is_string) => quote,
            other => {
                others.push(other);
                continue;
            }
        };
        let text = bare(&tidy_field(&mut quote, "text"));
        tidy_field(&mut quote, "speaker");
        // The time of a cue comes from the transcript, never from the model.
        quote.remove("at");
        let key = tidy::key(&text);
        // What was looked for in vain is known by its comparable form: another spelling of the same words may be found.
        let wanted = wanted(&text);
        if seen.contains(&key) || missed.contains(&wanted) {
            continue;
        }
        looked_up += 1;
        match (looked_up <= MAX_LOOKED_UP).then(|| spoken.find(&wanted)).flatten() {
            Some(place) => {
                quote.insert("text".to_owned(), Value::String(text));
                if let Some(ms) = spoken.time(place) {
                    quote.insert("at".to_owned(), Value::String(vtt::stamp(ms)));
                }
                kept.push((place, quote));
                // Only now: the same words in another spelling may be found where these were not.
                seen.insert(key);
            }
            None if looked_up > MAX_LOOKED_UP => {
                notes.add("quote-not-checked", "/quotes", "a quote beyond the number that is checked was left out")
            }
            None => {
                notes.add("quote-not-found", "/quotes", "a quote that does not occur in the transcript was left out");
                missed.insert(wanted);
            }
        }
    }
    if kept.len() > MAX_KEPT {
        kept.truncate(MAX_KEPT);
        notes.add("quotes-left-out", "/quotes", "quotes beyond the number that a report holds were left out");
    }
    kept.sort_by_key(|(place, _)| *place);
    items.extend(kept.into_iter().map(|(_, quote)| Value::Object(quote)));
    items.append(&mut others);
}

/// Tidies a string field in place and returns it; an empty one is removed, as if it had not been written.
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

/// A quote without the quote marks around it.
fn bare(text: &str) -> String {
    text.trim_matches(|c| is_quote_mark(c) || char::is_whitespace(c)).to_owned()
}

pub(crate) fn is_quote_mark(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '`'
            | '´'
            | '«'
            | '»'
            | '‹'
            | '›'
            | '„'
            | '“'
            | '”'
            | '‟'
            | '‘'
            | '’'
            | '‚'
            | '‛'
            | '″'
            | '′'
    )
}

/// A transcript in its comparable form, and where its cues begin in it.
struct Spoken {
    text: String,
    cues: Vec<(usize, u64)>,
}

impl Spoken {
    fn of(transcript: &Transcript) -> Self {
        let cues = if transcript.media_type == "text/vtt" { vtt::cues(&transcript.text) } else { Vec::new() };
        let mut spoken = Self { text: String::new(), cues: Vec::with_capacity(cues.len()) };
        if cues.is_empty() {
            comparable(&transcript.text, &mut spoken.text);
            return spoken;
        }
        for cue in cues {
            if !spoken.text.is_empty() && !spoken.text.ends_with(' ') {
                spoken.text.push(' ');
            }
            spoken.cues.push((spoken.text.len(), cue.start_ms));
            comparable(&cue.text, &mut spoken.text);
        }
        spoken
    }

    /// Where a quote, as [`wanted`] writes it, occurs as whole words.
    fn find(&self, wanted: &str) -> Option<usize> {
        if wanted.is_empty() {
            return None;
        }
        let whole = |at: &usize| {
            let before = self.text[..*at].chars().next_back();
            let after = self.text[*at + wanted.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        };
        // Not `match_indices`: the whole words may begin within a match that is none ("ha ha" in "aha ha ha").
        let mut from = 0;
        let mut left = MAX_COMPARED;
        while let Some(at) = self.text[from..].find(wanted).map(|at| from + at) {
            if whole(&at) {
                return Some(at);
            }
            left = left.checked_sub(wanted.len())?;
            // The next whole word begins behind the rest of this one.
            from = at + self.text[at..].find(|c: char| !c.is_alphanumeric())?;
        }
        None
    }

    /// When the words at a place were said.
    fn time(&self, place: usize) -> Option<u64> {
        let behind = self.cues.partition_point(|(start, _)| *start <= place);
        self.cues.get(behind.checked_sub(1)?).map(|(_, ms)| *ms)
    }
}

/// What is looked for: a quote's comparable form. The marks at its ends do not count, for a quote often stops in a sentence.
fn wanted(quote: &str) -> String {
    let mut wanted = String::new();
    comparable(quote, &mut wanted);
    wanted.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
}

/// Appends the comparable form: lower case, no quote marks or invisible signs, one kind of space, dash and "е".
fn comparable(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            _ if is_quote_mark(c) => {}
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            _ if c.is_whitespace() => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => out.push('-'),
            '…' => out.push_str("..."),
            'ё' | 'Ё' => out.push('е'),
            _ => out.extend(c.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::verify;
    use assay_guest::{Notes, Transcript};
    use proptest::prelude::*;
    use serde_json::{Value, json};

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
    fn comparison_forgives_marks_spaces_and_case_and_nothing_else() {
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
    fn quotes_are_kept_once_and_in_the_order_of_the_transcript() {
        let (quotes, _) = verified(
            "text/plain",
            "one two. three four.",
            json!([{"text": "three four"}, {"text": "One two"}, {"text": "\"one two.\""}]),
        );
        assert_eq!(quotes, json!([{"text": "One two"}, {"text": "three four"}]));
    }

    #[test]
    fn a_flood_of_quotes_is_not_looked_up() {
        let quotes: Vec<Value> = (0..1000).map(|n| json!({"text": format!("w{n}")})).collect();
        let (kept, notes) = verified("text/plain", "w39 w40 w41", Value::Array(quotes));
        assert_eq!(kept, json!([{"text": "w39"}]));
        assert!(notes.contains(&"quote-not-checked".to_owned()));
    }

    #[test]
    fn a_quote_that_is_not_found_is_looked_up_once_however_often_it_is_written() {
        let mut quotes: Vec<Value> =
            (0..100).map(|n| json!({"text": if n % 2 == 0 { "not said" } else { "“Not  said!”" }})).collect();
        quotes.push(json!({"text": "said"}));
        let (kept, notes) = verified("text/plain", "said", Value::Array(quotes));
        assert_eq!(kept, json!([{"text": "said"}]));
        assert_eq!(notes, ["quote-not-found"]);
    }

    #[test]
    fn of_more_true_quotes_than_a_report_holds_the_first_ones_stay() {
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
    fn a_quote_that_is_not_found_hides_no_other_spelling_of_it() {
        let (kept, notes) =
            verified("text/plain", "well, we ship", json!([{"text": "well we ship"}, {"text": "well, we ship"}]));
        assert_eq!(kept, json!([{"text": "well, we ship"}]));
        assert_eq!(notes, ["quote-not-found"]);
    }

    #[test]
    fn words_are_found_within_a_match_that_is_none() {
        assert!(found("aha ha ha done", "ha ha"));
        assert!(found("ага га га", "га га"));
        assert!(!found("aha ha haa", "ha ha"));
        assert!(!found(&"a".repeat(1 << 20), &"a".repeat(600)));
        assert!(!found(&"ab ".repeat(1 << 18), &format!("{}a", "ab ".repeat(200))));
    }

    #[test]
    fn what_is_no_quote_stays_for_the_schema() {
        let odd = json!(["text", {"text": 1}, {}, null]);
        assert_eq!(verified("text/plain", "text", odd.clone()).0, odd);
    }

    proptest! {
        #[test]
        fn any_run_of_words_of_the_transcript_is_found(words in prop::collection::vec("[a-zA-Zа-яА-ЯёЁß0-9]{1,6}", 1..12), from in 0usize..12, len in 1usize..12) {
            let from = from % words.len();
            let to = (from + len).min(words.len());
            let quote = format!(" «{}»… ", words[from..to].join("\t").to_uppercase());
            // Upper case of "ß" is another word, and that is no fault of the comparison.
            prop_assume!(!quote.contains("SS"));
            prop_assert!(found(&words.join("  \n"), &quote));
        }

        #[test]
        fn what_is_kept_was_said(text in "[a-c .\n]{0,40}", quote in "[a-c .]{0,10}") {
            if found(&text, &quote) {
                let squeeze = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
                prop_assert!(squeeze(&text).contains(squeeze(&quote).trim_matches(['.', ' '])));
            }
        }
    }
}
