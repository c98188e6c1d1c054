//! Strings: words of the transcript, or what a format or a pattern asks for.

use serde_json::{Value, json};

use super::{
    flat::Flat,
    format,
    generator::{Generator, Slot},
    pattern,
};
use crate::model::{property_kind::PropertyKind, text_source::shorten};

const TRIES_PER_FORMAT: usize = 6;

/// Each fourth try doubles the repetitions.
const TRIES_PER_PATTERN: u32 = 48;

/// How far ahead a day lies that no words name.
const DEFAULT_DAYS_AHEAD: i64 = 7;

impl Generator<'_> {
    pub(super) fn string(&mut self, flat: &Flat, slot: Slot<'_>) -> Option<String> {
        let min = flat.size("minLength").unwrap_or(0);
        let max = flat.size("maxLength").unwrap_or(usize::MAX);
        if min > max {
            return None;
        }
        let part = flat.assertions();
        let is_allowed = |this: &Self, text: &String| this.schema.part_allows(&part, &json!(text));
        if let Some(format) = flat.get("format").and_then(Value::as_str) {
            for attempt in 0..TRIES_PER_FORMAT {
                let vary = !slot.sensible || attempt > 0;
                let day = self.texts.day(DEFAULT_DAYS_AHEAD);
                let Some(text) = format::make(format, slot.name, day, &mut self.rng, vary) else { break };
                if is_allowed(self, &text) {
                    return Some(text);
                }
            }
        }
        let words = self.words(flat, slot, min, max);
        if is_allowed(self, &words) {
            return Some(words);
        }
        let pattern = flat.get("pattern").and_then(Value::as_str)?;
        let hir = pattern::parse(pattern)?;
        (0..TRIES_PER_PATTERN).find_map(|attempt| {
            let extra_repetitions = (1u32 << (attempt / 4)) >> 1;
            let mut text = String::new();
            pattern::write(&hir, &mut self.rng, extra_repetitions, &mut text);
            if !pattern.ends_with('$') {
                text = self.lengthen(text, min);
            }
            is_allowed(self, &text).then_some(text)
        })
    }

    /// Returns text from the transcript, of an allowed length.
    fn words(&mut self, flat: &Flat, slot: Slot<'_>, min: usize, max: usize) -> String {
        let description = flat.get("description").and_then(Value::as_str).unwrap_or("");
        let text = if PropertyKind::of(slot.name) == PropertyKind::Date && wants_iso_date(description) {
            self.texts.day(DEFAULT_DAYS_AHEAD).to_string()
        } else if slot.sensible {
            self.texts.text(slot.name)
        } else {
            self.texts.more()
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
        while text.chars().count() < min {
            text = format!("{text} {}", self.texts.more());
        }
        text
    }
}

/// Returns whether a description asks for a written date, without a spoken day as an example.
fn wants_iso_date(description: &str) -> bool {
    let has_one_of = |words: &[&str]| words.iter().any(|word| description.contains(word));
    has_one_of(&["YYYY-MM-DD", "ISO 8601", "RFC 3339"]) && !has_one_of(&["Monday", "Friday", "tomorrow", "next week"])
}
