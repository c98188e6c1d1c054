//! What a property's name suggests, and the words by which a sentence of that kind is known, in English and Russian.

/// What a property's name suggests it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PropertyKind {
    Person,
    Action,
    Decision,
    Question,
    Risk,
    Date,
    Clock,
    Title,
    Summary,
    Language,
    Identifier,
    Sentence,
}

use PropertyKind::{
    Action, Clock, Date, Decision, Identifier, Language, Person, Question, Risk, Sentence, Summary, Title,
};

/// Words of names; the first hit from the end of a name wins.
const NAME_WORDS: [(PropertyKind, &str); 11] = [
    (
        Person,
        "owner assignee speaker participant attendee author person people who responsible reporter member host organizer",
    ),
    (Date, "date due deadline day when until"),
    (Clock, "time timestamp cue at start end offset"),
    (Question, "question unresolved unclear"),
    (Decision, "decision agreement resolution outcome decided"),
    (Action, "action task step todo commitment"),
    (Risk, "risk level severity priority blocker concern urgency impact"),
    (Title, "title headline subject topic name label tag keyword heading"),
    (Summary, "overview summary abstract synopsis description introduction"),
    (Language, "language lang locale"),
    (Identifier, "id uuid key slug code"),
];

const DECISION_CUES: &str = "decid|agreed|go with|approved|settled|решил|договорил|утверд|согласовал";
const ACTION_CUES: &str = "i'll |i will| will |can you|could you|please |needs to|need to|let me |by friday|by monday|\
    сделаю|подготов|возьму|нужно|надо |пришл|отправ|напиш|к пятнице|до пятницы|проверю|позвон";
const NO_ACTION_CUES: &str = "whether|believe|nobody|will not|it will|they will";
const RISK_CUES: &str = "risk|block|delay|late|concern|problem|fail|slip|риск|задерж|проблем|сорв|блокир|не успе";

impl PropertyKind {
    /// Reads a property's name, `next_steps` or `dueDate`.
    pub(super) fn of(name: &str) -> Self {
        let words = words(name);
        let kinds = words.iter().rev().enumerate().filter_map(|(from_the_end, word)| {
            let singular = word.strip_suffix('s').unwrap_or(word);
            let means = |known: &str| known == word || known == singular;
            let (kind, _) = NAME_WORDS.iter().find(|(_, known)| known.split(' ').any(means))?;
            // "key_points" is about points, not keys.
            (from_the_end == 0 || !matches!(kind, Identifier | Clock | Language | Title)).then_some(*kind)
        });
        kinds.into_iter().next().unwrap_or(Sentence)
    }

    /// Returns whether a sentence may be of this kind. A kind without cues takes every sentence.
    pub(super) fn fits(self, sentence: &str) -> bool {
        let cues = match self {
            Question => return sentence.ends_with('?'),
            Decision => DECISION_CUES,
            Action => ACTION_CUES,
            Risk => RISK_CUES,
            _ => return true,
        };
        let sentence = sentence.to_lowercase();
        let has_one_of = |cues: &str| cues.split('|').any(|cue| sentence.contains(cue));
        has_one_of(cues) && !(self == Action && has_one_of(NO_ACTION_CUES))
    }

    /// Returns whether an object of this name is about one statement.
    pub(super) fn is_about_a_statement(self) -> bool {
        matches!(self, Action | Decision | Question | Risk | Sentence | Title)
    }
}

/// Returns whether a person's name is that of who said something, not of who is to do it.
pub(super) fn names_a_speaker(name: &str) -> bool {
    words(name).iter().any(|word| word.starts_with("speaker") || word == "author")
}

/// Splits `dueDate` and `due_date` into `due` and `date`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c.is_uppercase() || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_both_spellings_suggest_a_kind() {
        for (name, kind) in [
            ("next_steps", Action),
            ("dueDate", Date),
            ("owner", Person),
            ("open_questions", Question),
            ("risk_level", Risk),
            ("overview", Summary),
            ("quotes", Sentence),
            ("participants", Person),
            ("key_points", Sentence),
            ("due_by", Date),
        ] {
            assert_eq!(PropertyKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn cues_are_found_in_either_case_and_language() {
        assert!(Decision.fits("Then we AGREED on it."));
        assert!(Action.fits("Я подготовлю план."));
        assert!(!Action.fits("I will believe it when I see it."));
        assert!(!Question.fits("Nobody asked."));
    }
}
