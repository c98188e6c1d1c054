//! Strings: words of the transcript where they may stand, a format or a pattern where one is asked for.

use serde_json::{Map, Value, json};

use super::{Generator, Place, flatten::Flat, format, pattern};
use crate::model::{kind::Kind, voice::shorten};

/// Tries per pattern, with ever longer repetitions.
const PATTERN_TRIES: u32 = 48;

impl Generator<'_> {
    pub(super) fn string(&mut self, flat: &Flat, place: Place<'_>) -> Option<String> {
        let min = flat.size("minLength").unwrap_or(0);
        let max = flat.size("maxLength").unwrap_or(usize::MAX);
        if min > max {
            return None;
        }
        let part = constraints(flat);
        let format = flat.get("format").and_then(Value::as_str);
        if let Some(name) = format {
            for attempt in 0..6 {
                let made = format::make(name, place.name, &self.voice, &mut self.rng, !place.sensible || attempt > 0);
                match made {
                    Some(text) if self.allowed(&part, &text) => return Some(text),
                    Some(_) => {}
                    None => break,
                }
            }
        }
        let words = self.words(flat, place, min, max);
        if self.allowed(&part, &words) {
            return Some(words);
        }
        let pattern = flat.get("pattern").and_then(Value::as_str)?;
        let hir = pattern::parse(pattern)?;
        (0..PATTERN_TRIES).find_map(|attempt| {
            // 0, 1, 2, 4, … more repetitions than asked for, up to what the length needs.
            let extra = (1u32 << (attempt / 4)) >> 1;
            let mut text = String::new();
            pattern::write(&hir, &mut self.rng, extra, &mut text);
            if text.chars().count() < min && !pattern.ends_with('$') {
                text = self.lengthen(text, min);
            }
            self.allowed(&part, &text).then_some(text)
        })
    }

    fn allowed(&self, part: &Value, text: &str) -> bool {
        self.schema.part_allows(part, &json!(text))
    }

    /// Text from the transcript, of an allowed length.
    fn words(&mut self, flat: &Flat, place: Place<'_>, min: usize, max: usize) -> String {
        let description = flat.get("description").and_then(Value::as_str).unwrap_or("");
        let text = if Kind::of(place.name) == Kind::Date && wants_iso(description) {
            self.voice.day(7).to_string()
        } else if place.sensible {
            self.voice.text(place.name)
        } else {
            self.voice.more()
        };
        let text = self.lengthen(text, min);
        let short = shorten(&text, max);
        if short.chars().count() >= min {
            return short;
        }
        // No word ends in the allowed range: cut anywhere, but not after a space.
        let mut cut: String = text.chars().take(max).collect();
        if cut.ends_with(char::is_whitespace) {
            cut.pop();
            cut.push('.');
        }
        cut
    }

    fn lengthen(&mut self, mut text: String, min: usize) -> String {
        let mut length = text.chars().count();
        while length < min {
            let more = self.voice.more();
            length += more.chars().count() + 1;
            text.push(' ');
            text.push_str(&more);
        }
        text
    }
}

/// Whether a description asks for a written date, and gives no spoken day as an example.
fn wants_iso(description: &str) -> bool {
    let written = ["YYYY-MM-DD", "ISO 8601", "RFC 3339"].iter().any(|word| description.contains(word));
    written && !["Monday", "Friday", "tomorrow", "next week"].iter().any(|word| description.contains(word))
}

/// What the schema says about strings alone.
fn constraints(flat: &Flat) -> Value {
    let mut part = Map::new();
    for keyword in ["minLength", "maxLength", "pattern", "format", "allOf"] {
        if let Some(value) = flat.get(keyword) {
            part.insert(keyword.to_owned(), value.clone());
        }
    }
    Value::Object(part)
}
