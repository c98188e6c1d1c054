//! Chooses words for a property by its name: sentences of the transcript for text, speakers for people, days for dates.

use std::collections::HashMap;

use rand::{Rng, rngs::StdRng};
use serde_json::Value;
use time::{Date, Duration};

use super::{
    property_kind::{PropertyKind, names_a_speaker},
    transcript::{DEFAULT_TODAY, Statement, Transcript},
};

const MAX_SUMMARY_CHARS: usize = 320;
const MAX_TITLE_CHARS: usize = 60;
const MAX_LIST_ITEMS: usize = 5;
const MAX_LISTED_PEOPLE: usize = 12;
const LISTED_TITLES: usize = 3;
const NOTHING_SAID: &str = "Nothing was said.";

/// Hands out words, and remembers which it has used.
pub(super) struct TextSource<'a> {
    transcript: &'a Transcript,
    /// Indices of statements; filled on first use.
    by_kind: HashMap<PropertyKind, Vec<usize>>,
    used: HashMap<PropertyKind, usize>,
    /// What the objects around the current property are about, the nearest last.
    subjects: Vec<Subject>,
}

/// The statement that an object is about.
struct Subject {
    kind: PropertyKind,
    index: usize,
    /// Counts the texts handed out besides the statement under its own name.
    uses: usize,
}

impl<'a> TextSource<'a> {
    pub(super) fn new(transcript: &'a Transcript) -> Self {
        Self { transcript, by_kind: HashMap::new(), used: HashMap::new(), subjects: Vec::new() }
    }

    /// Begins an object called `name`, about one statement. Returns whether there is such a statement.
    ///
    /// With `states_it`, a property of the object bears the statement, so other texts must say something else.
    pub(super) fn enter(&mut self, name: &str, states_it: bool) -> bool {
        let kind = PropertyKind::of(name);
        if name.is_empty() || !kind.is_about_a_statement() {
            return false;
        }
        let subject = self.take(kind).map(|index| Subject { kind, index, uses: usize::from(states_it) });
        let entered = subject.is_some();
        self.subjects.extend(subject);
        entered
    }

    /// Ends an object for which [`Self::enter`] returned `true`.
    pub(super) fn leave(&mut self) {
        self.subjects.pop();
    }

    /// Returns how many entries a list called `name` wants.
    pub(super) fn count(&mut self, name: &str) -> usize {
        match PropertyKind::of(name) {
            PropertyKind::Person => self.transcript.speakers.len().min(MAX_LISTED_PEOPLE),
            PropertyKind::Title => LISTED_TITLES,
            // With no decision or question in the transcript, an empty list is the honest answer.
            kind => self.of_kind(kind).len().min(MAX_LIST_ITEMS),
        }
    }

    /// Returns whether the transcript has words for this name; if not, `null` is the honest answer.
    pub(super) fn knows(&self, name: &str) -> bool {
        match PropertyKind::of(name) {
            PropertyKind::Person => !self.transcript.speakers.is_empty(),
            PropertyKind::Date => self.subject().is_some_and(|subject| self.transcript.due_date(subject).is_some()),
            PropertyKind::Clock => self.subject().is_none_or(|subject| subject.at.is_some()),
            _ => true,
        }
    }

    /// Returns words for a property, of any length.
    pub(super) fn text(&mut self, name: &str) -> String {
        match PropertyKind::of(name) {
            PropertyKind::Person => self.person(name),
            PropertyKind::Date => {
                let words = self.subject().and_then(|subject| self.transcript.due_words(subject));
                words.unwrap_or_else(|| self.day(0).to_string())
            }
            PropertyKind::Clock => {
                self.subject().and_then(|subject| subject.at.clone()).unwrap_or_else(|| "00:00:00.000".to_owned())
            }
            PropertyKind::Language => self.by_language("en", "ru").to_owned(),
            PropertyKind::Summary if self.subjects.is_empty() => self.summary(),
            PropertyKind::Title => shorten(&self.sentence(PropertyKind::Sentence), MAX_TITLE_CHARS),
            PropertyKind::Identifier => {
                let sentence = self.sentence(PropertyKind::Sentence).to_lowercase();
                let words = sentence.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 3);
                words.take(3).collect::<Vec<_>>().join("-")
            }
            kind => self.sentence(kind),
        }
    }

    /// Returns the day that the current object names, else one `days_ahead` of today.
    pub(super) fn day(&self, days_ahead: i64) -> Date {
        let today = self.transcript.today.unwrap_or(DEFAULT_TODAY);
        let named = self.subject().and_then(|subject| self.transcript.due_date(subject));
        named.unwrap_or_else(|| today.saturating_add(Duration::days(days_ahead)))
    }

    /// Returns the value of an enumeration that fits the transcript, for a language or a level of risk.
    pub(super) fn choose<'v>(&mut self, name: &str, values: &[&'v Value]) -> Option<&'v Value> {
        let wanted = match PropertyKind::of(name) {
            PropertyKind::Language => self.by_language("en eng english", "ru rus russian"),
            PropertyKind::Risk => match self.of_kind(PropertyKind::Risk).len() {
                0 => "low none minor",
                1..=2 => "medium moderate normal",
                _ => "high major critical",
            },
            _ => return None,
        };
        let is_wanted = |text: &str| wanted.split(' ').any(|word| word == text.to_lowercase());
        values.iter().find(|value| value.as_str().is_some_and(is_wanted)).copied()
    }

    /// Returns the next sentence of the transcript.
    pub(super) fn more(&mut self) -> String {
        let index = self.take(PropertyKind::Sentence);
        self.statement(index)
    }

    /// Returns a short lower-case word of the transcript, for keys of maps.
    pub(super) fn word(&mut self, rng: &mut StdRng) -> String {
        let sentence = self.more().to_ascii_lowercase();
        let words: Vec<&str> = sentence.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| w.len() > 3).collect();
        if words.is_empty() {
            format!("item{}", rng.random_range(1..1000))
        } else {
            words[rng.random_range(0..words.len())].to_owned()
        }
    }

    fn by_language(&self, english: &'static str, russian: &'static str) -> &'static str {
        if self.transcript.russian { russian } else { english }
    }

    fn person(&mut self, name: &str) -> String {
        let speakers = &self.transcript.speakers;
        let from_subject = self.subject().and_then(|subject| {
            if names_a_speaker(name) { subject.speaker.clone() } else { self.transcript.owner(subject) }
        });
        let person = from_subject.or_else(|| {
            let turn = self.used.entry(PropertyKind::Person).or_default();
            *turn += 1;
            speakers.get((*turn - 1) % speakers.len().max(1)).cloned()
        });
        person.unwrap_or_else(|| self.by_language("The team", "Команда").to_owned())
    }

    fn sentence(&mut self, kind: PropertyKind) -> String {
        let last = self.transcript.statements.len().saturating_sub(1);
        let index = match self.subjects.last_mut() {
            Some(subject) if kind == subject.kind && kind != PropertyKind::Sentence => Some(subject.index),
            Some(subject) => {
                // A second text of one object is what was said next.
                subject.uses += 1;
                Some((subject.index + subject.uses - 1).min(last))
            }
            None => self.take(kind),
        };
        self.statement(index)
    }

    fn statement(&self, index: Option<usize>) -> String {
        let statement = index.and_then(|index| self.transcript.statements.get(index));
        statement.map_or(NOTHING_SAID, |statement| &statement.text).to_owned()
    }

    fn summary(&mut self) -> String {
        let mut chosen: Vec<usize> = Vec::new();
        for kind in [PropertyKind::Decision, PropertyKind::Action, PropertyKind::Sentence] {
            chosen.extend(self.of_kind(kind).iter().take(2));
        }
        chosen.sort_unstable();
        chosen.dedup();
        let mut text = self.statement(chosen.first().copied());
        for index in chosen.into_iter().skip(1) {
            let more = &self.transcript.statements[index].text;
            if text.chars().count() + more.chars().count() > MAX_SUMMARY_CHARS {
                break;
            }
            text = format!("{text} {more}");
        }
        text
    }

    fn subject(&self) -> Option<&Statement> {
        self.subjects.last().and_then(|subject| self.transcript.statements.get(subject.index))
    }

    /// Takes the next statement of a kind, or of any kind if no statement fits; starts over after the last.
    fn take(&mut self, kind: PropertyKind) -> Option<usize> {
        let kind = if self.of_kind(kind).is_empty() { PropertyKind::Sentence } else { kind };
        let turn = self.used.entry(kind).or_default();
        *turn += 1;
        let turn = *turn - 1;
        let all = self.of_kind(kind);
        all.get(turn % all.len().max(1)).copied()
    }

    /// Returns the statements of a kind, in an order that takes any few in a row evenly from the whole conversation.
    fn of_kind(&mut self, kind: PropertyKind) -> &[usize] {
        let statements = &self.transcript.statements;
        self.by_kind.entry(kind).or_insert_with(|| {
            let fitting: Vec<usize> = (0..statements.len()).filter(|i| kind.fits(&statements[*i].text)).collect();
            let stride = fitting.len().div_ceil(MAX_LIST_ITEMS).max(1);
            (0..stride).flat_map(|first| fitting.iter().skip(first).step_by(stride)).copied().collect()
        })
    }
}

/// Cuts at a word's end, to at most `limit` characters.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let cut: String = text.chars().take(limit).collect();
    match cut.rfind(char::is_whitespace) {
        Some(space) if space > 0 => cut[..space].trim_end_matches([',', ';', ':', ' ', '-']).to_owned(),
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_its_owner_and_its_day_belong_together() {
        let transcript = Transcript::find("Ana: The weather is fine in Lisbon.\nBo: I will call the bank by Friday.\n");
        let mut source = TextSource::new(&transcript);
        assert!(source.enter("next_steps", true));
        assert_eq!(source.text("owner"), "Bo");
        assert_eq!(source.text("action"), "I will call the bank by Friday.");
        assert_eq!(source.text("due"), "by Friday");
        source.leave();
    }

    #[test]
    fn a_cut_falls_between_words() {
        assert_eq!(shorten("one two three", 9), "one two");
        assert_eq!(shorten("immeasurable", 4), "imme");
    }
}
