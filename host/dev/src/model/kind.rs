//! What a property's name suggests, and what sentences of that kind sound like, in English and Russian.

/// What a property's name suggests it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
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

/// Words of names, the kind they suggest; the first hit from the end of a name wins.
const WORDS: [(Kind, &[&str]); 11] = [
    (
        Kind::Person,
        &[
            "owner",
            "assignee",
            "speaker",
            "participant",
            "attendee",
            "author",
            "person",
            "people",
            "who",
            "responsible",
            "reporter",
            "member",
            "host",
            "organizer",
        ],
    ),
    (Kind::Date, &["date", "due", "deadline", "day", "when", "until"]),
    (Kind::Clock, &["time", "timestamp", "cue", "at", "start", "end", "offset"]),
    (Kind::Question, &["question", "unresolved", "unclear"]),
    (Kind::Decision, &["decision", "agreement", "resolution", "outcome", "decided"]),
    (Kind::Action, &["action", "task", "step", "todo", "commitment"]),
    (Kind::Risk, &["risk", "level", "severity", "priority", "blocker", "concern", "urgency", "impact"]),
    (Kind::Title, &["title", "headline", "subject", "topic", "name", "label", "tag", "keyword", "heading"]),
    (Kind::Summary, &["overview", "summary", "abstract", "synopsis", "description", "introduction"]),
    (Kind::Language, &["language", "lang", "locale"]),
    (Kind::Identifier, &["id", "uuid", "key", "slug", "code"]),
];

/// What sentences of a kind contain, in lower case.
const SOUNDS: [(Kind, &[&str]); 3] = [
    (
        Kind::Decision,
        &["decid", "agreed", "go with", "approved", "settled", "решил", "договорил", "утверд", "согласовал"],
    ),
    (
        Kind::Action,
        &[
            "i'll ",
            "i will",
            " will ",
            "can you",
            "could you",
            "please ",
            "needs to",
            "need to",
            "let me ",
            "by friday",
            "by monday",
            "сделаю",
            "подготов",
            "возьму",
            "нужно",
            "надо ",
            "пришл",
            "отправ",
            "напиш",
            "к пятнице",
            "до пятницы",
            "проверю",
            "позвон",
        ],
    ),
    (
        Kind::Risk,
        &[
            "risk",
            "block",
            "delay",
            "late",
            "concern",
            "problem",
            "fail",
            "slip",
            "риск",
            "задерж",
            "проблем",
            "сорв",
            "блокир",
            "не успе",
        ],
    ),
];

/// What sentences contain that sound like an action and are none.
const NO_ACTIONS: [&str; 6] = ["whether", "believe", "nobody", "will not", "it will", "they will"];

impl Kind {
    /// Reads a property's name, `next_steps` or `dueDate`.
    pub(super) fn of(name: &str) -> Self {
        let tokens = tokens(name);
        tokens
            .iter()
            .rev()
            .enumerate()
            .find_map(|(from_the_end, token)| {
                let singular = token.strip_suffix('s').unwrap_or(token);
                let found =
                    WORDS.iter().find(|(_, words)| words.contains(&token.as_str()) || words.contains(&singular));
                // "key_points" is about points, and no key.
                found.map(|(kind, _)| *kind).filter(|kind| from_the_end == 0 || !kind.is_said_last())
            })
            .unwrap_or(Self::Sentence)
    }

    /// Whether a name means this kind only by its last word.
    fn is_said_last(self) -> bool {
        matches!(self, Self::Identifier | Self::Clock | Self::Language | Self::Title)
    }

    /// Whether sentences of this kind can be told from others.
    pub(super) fn has_a_sound(self) -> bool {
        matches!(self, Self::Question | Self::Decision | Self::Action | Self::Risk)
    }

    /// Whether a sentence is of this kind, by its words.
    pub(super) fn sounds_like(self, text: &str) -> bool {
        if self == Self::Question {
            return text.ends_with('?');
        }
        let text = text.to_lowercase();
        if self == Self::Action && NO_ACTIONS.iter().any(|words| text.contains(words)) {
            return false;
        }
        SOUNDS.iter().any(|(kind, words)| *kind == self && words.iter().any(|word| text.contains(word)))
    }

    /// Whether an object of this name is about one statement.
    pub(super) fn is_about_a_statement(self) -> bool {
        matches!(self, Self::Action | Self::Decision | Self::Question | Self::Risk | Self::Sentence | Self::Title)
    }
}

/// `dueDate` and `due_date` are both `due`, `date`.
pub(super) fn tokens(name: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    for c in name.chars() {
        if !c.is_alphanumeric() {
            tokens.push(String::new());
            continue;
        }
        if c.is_uppercase() {
            tokens.push(String::new());
        }
        if let Some(token) = tokens.last_mut() {
            token.extend(c.to_lowercase());
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_both_spellings_suggest_a_kind() {
        for (name, kind) in [
            ("next_steps", Kind::Action),
            ("dueDate", Kind::Date),
            ("owner", Kind::Person),
            ("open_questions", Kind::Question),
            ("risk_level", Kind::Risk),
            ("overview", Kind::Summary),
            ("quotes", Kind::Sentence),
            ("participants", Kind::Person),
            ("key_points", Kind::Sentence),
            ("due_by", Kind::Date),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn a_sound_is_heard_in_either_case_and_language() {
        assert!(Kind::Decision.sounds_like("Then we AGREED on it."));
        assert!(Kind::Action.sounds_like("Я подготовлю план."));
        assert!(!Kind::Action.sounds_like("I will believe it when I see it."));
        assert!(!Kind::Question.sounds_like("Nobody asked."));
    }
}
