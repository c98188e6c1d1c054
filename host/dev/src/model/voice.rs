//! Chooses words for a property by its name: sentences of the transcript for text, speakers for people, days for dates.

use std::collections::HashMap;

use rand::{Rng, rngs::StdRng};
use serde_json::Value;
use time::{Date, Duration};

use super::{
    kind::{Kind, tokens},
    transcript::{SOME_DAY, Statement, Transcript},
};

/// How long a summary wants to be, in characters.
const SUMMARY_LENGTH: usize = 320;

/// How many entries a list has where the transcript gives as many.
const LIST_LENGTH: usize = 5;

/// How long a title may be, in characters.
const TITLE_LENGTH: usize = 60;

/// Hands out words, and remembers which it has used.
pub(super) struct Voice<'a> {
    transcript: &'a Transcript,
    /// Statements by kind, as indices; built on first use.
    by_kind: HashMap<Kind, Vec<usize>>,
    next: HashMap<Kind, usize>,
    /// What the objects around the current property are about, the nearest last.
    subjects: Vec<Subject>,
}

/// The statement that an object is about.
struct Subject {
    kind: Kind,
    index: usize,
    /// Texts handed out that were not the statement under its own name.
    uses: usize,
}

impl<'a> Voice<'a> {
    pub(super) fn new(transcript: &'a Transcript) -> Self {
        Self { transcript, by_kind: HashMap::new(), next: HashMap::new(), subjects: Vec::new() }
    }

    /// Begins an object called `name`; what it says shall be about one statement. Returns whether there is one.
    ///
    /// `says_it_itself`: one of its properties bears the statement under a name of the same kind, so that other texts say something else.
    pub(super) fn enter(&mut self, name: &str, says_it_itself: bool) -> bool {
        let kind = Kind::of(name);
        if name.is_empty() || !kind.is_about_a_statement() {
            return false;
        }
        let Some(index) = self.take(kind) else { return false };
        self.subjects.push(Subject { kind, index, uses: usize::from(says_it_itself) });
        true
    }

    /// Ends an object for which [`Self::enter`] returned `true`.
    pub(super) fn leave(&mut self) {
        self.subjects.pop();
    }

    /// How many entries a list called `name` wants.
    pub(super) fn count(&mut self, name: &str) -> usize {
        match Kind::of(name) {
            Kind::Person => self.transcript.speakers.len().min(12),
            Kind::Title => 3,
            // Nothing decided, nothing asked: an empty list is the honest answer.
            kind => self.of_kind(kind).len().min(LIST_LENGTH),
        }
    }

    /// Whether the transcript says anything for a property of this name; where not, `null` is the honest answer.
    pub(super) fn knows(&self, name: &str) -> bool {
        match Kind::of(name) {
            Kind::Person => !self.transcript.speakers.is_empty(),
            Kind::Date => self.subject().is_some_and(|statement| self.transcript.due(statement).is_some()),
            Kind::Clock => self.subject().is_none_or(|statement| statement.at.is_some()),
            _ => true,
        }
    }

    /// Words for a property called `name`, before any length is asked for.
    pub(super) fn text(&mut self, name: &str) -> String {
        let kind = Kind::of(name);
        match kind {
            Kind::Person => self.person(name),
            Kind::Date => match self.subject().and_then(|statement| self.transcript.due(statement)) {
                Some((words, _)) => words,
                None => self.day(0).to_string(),
            },
            Kind::Clock => {
                self.subject().and_then(|statement| statement.at.clone()).unwrap_or_else(|| "00:00:00.000".to_owned())
            }
            Kind::Language => if self.transcript.russian { "ru" } else { "en" }.to_owned(),
            Kind::Summary if self.subjects.is_empty() => self.summary(),
            Kind::Title => shorten(&self.sentence(Kind::Sentence), TITLE_LENGTH),
            Kind::Identifier => {
                let words = self.sentence(Kind::Sentence).to_lowercase();
                words
                    .split(|c: char| !c.is_alphanumeric())
                    .filter(|w| w.chars().count() > 3)
                    .take(3)
                    .collect::<Vec<_>>()
                    .join("-")
            }
            kind => self.sentence(kind),
        }
    }

    /// The day that a property means, as an offset from the question's own day where no words name it.
    pub(super) fn day(&self, otherwise: i64) -> Date {
        let due = self.subject().and_then(|statement| self.transcript.due(statement));
        due.map_or_else(
            || self.transcript.today.unwrap_or(SOME_DAY).saturating_add(Duration::days(otherwise)),
            |(_, date)| date,
        )
    }

    /// The value of an enumeration that fits what was said, for names and values that have a meaning here.
    pub(super) fn choose<'v>(&mut self, name: &str, values: &[&'v Value]) -> Option<&'v Value> {
        let wanted: &[&str] = match Kind::of(name) {
            Kind::Language => {
                if self.transcript.russian {
                    &["ru", "rus", "russian"]
                } else {
                    &["en", "eng", "english"]
                }
            }
            Kind::Risk => match self.of_kind(Kind::Risk).len() {
                0 => &["low", "none", "minor"],
                1..=2 => &["medium", "moderate", "normal"],
                _ => &["high", "major", "critical"],
            },
            _ => return None,
        };
        values
            .iter()
            .find(|value| value.as_str().is_some_and(|text| wanted.contains(&text.to_lowercase().as_str())))
            .copied()
    }

    /// More words to reach a minimum length with.
    pub(super) fn more(&mut self) -> String {
        self.take(Kind::Sentence)
            .and_then(|i| self.transcript.statements.get(i))
            .map_or_else(|| NOTHING_SAID.to_owned(), |s| s.text.clone())
    }

    /// A short lower-case word of the transcript, for keys of maps.
    pub(super) fn word(&mut self, rng: &mut StdRng) -> String {
        let sentence = self.more();
        let words: Vec<String> =
            sentence.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| w.len() > 3).map(str::to_lowercase).collect();
        if words.is_empty() {
            format!("item{}", rng.random_range(1..1000))
        } else {
            words[rng.random_range(0..words.len())].clone()
        }
    }

    fn person(&mut self, name: &str) -> String {
        let spoke = tokens(name).iter().any(|token| token.starts_with("speaker") || token == "author");
        let about = self
            .subject()
            .and_then(|statement| if spoke { statement.speaker.clone() } else { self.transcript.owner(statement) });
        about
            .or_else(|| {
                let turn = self.next.entry(Kind::Person).or_default();
                let speaker = self.transcript.speakers.get(*turn % self.transcript.speakers.len().max(1)).cloned();
                *turn += 1;
                speaker
            })
            .unwrap_or_else(|| if self.transcript.russian { "Команда" } else { "The team" }.to_owned())
    }

    fn sentence(&mut self, kind: Kind) -> String {
        let index = match self.subjects.last_mut() {
            Some(subject) if kind == subject.kind && kind != Kind::Sentence => Some(subject.index),
            Some(subject) => {
                // A second text of one object is what was said next.
                let index = (subject.index + subject.uses).min(self.transcript.statements.len().saturating_sub(1));
                subject.uses += 1;
                Some(index)
            }
            None => self.take(kind),
        };
        index
            .and_then(|i| self.transcript.statements.get(i))
            .map_or_else(|| NOTHING_SAID.to_owned(), |statement| statement.text.clone())
    }

    fn summary(&mut self) -> String {
        let mut chosen: Vec<usize> = [Kind::Decision, Kind::Action, Kind::Sentence]
            .iter()
            .flat_map(|kind| self.of_kind(*kind).iter().take(2).copied().collect::<Vec<_>>())
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        let mut text = String::new();
        for statement in chosen.into_iter().filter_map(|i| self.transcript.statements.get(i)) {
            if !text.is_empty() && text.chars().count() + statement.text.chars().count() > SUMMARY_LENGTH {
                break;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&statement.text);
        }
        if text.is_empty() { NOTHING_SAID.to_owned() } else { text }
    }

    fn subject(&self) -> Option<&Statement> {
        self.subjects.last().and_then(|subject| self.transcript.statements.get(subject.index))
    }

    /// The next statement of a kind, or any where none is of that kind; starts over when all were used.
    fn take(&mut self, kind: Kind) -> Option<usize> {
        let kind = if self.of_kind(kind).is_empty() { Kind::Sentence } else { kind };
        let turn = *self.next.get(&kind).unwrap_or(&0);
        let all = self.of_kind(kind);
        let index = all.get(turn % all.len().max(1)).copied();
        self.next.insert(kind, turn + 1);
        index
    }

    /// Statements that sound like a kind, as indices; all where the kind has no sound of its own. Any few in a row are taken
    /// evenly from the whole conversation.
    fn of_kind(&mut self, kind: Kind) -> &Vec<usize> {
        let statements = &self.transcript.statements;
        self.by_kind.entry(kind).or_insert_with(|| {
            let fits = |i: &usize| !kind.has_a_sound() || kind.sounds_like(&statements[*i].text);
            let fitting: Vec<usize> = (0..statements.len()).filter(fits).collect();
            let stride = fitting.len().div_ceil(LIST_LENGTH).max(1);
            (0..stride).flat_map(|first| fitting.iter().skip(first).step_by(stride)).copied().collect()
        })
    }
}

/// Text for a transcript without a sentence.
const NOTHING_SAID: &str = "Nothing was said.";

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
        let mut voice = Voice::new(&transcript);
        assert!(voice.enter("next_steps", true));
        assert_eq!(voice.text("owner"), "Bo");
        assert_eq!(voice.text("action"), "I will call the bank by Friday.");
        assert_eq!(voice.text("due"), "by Friday");
        voice.leave();
    }

    #[test]
    fn a_cut_falls_between_words() {
        assert_eq!(shorten("one two three", 9), "one two");
        assert_eq!(shorten("immeasurable", 4), "imme");
    }
}
