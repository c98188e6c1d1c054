//! Finds the transcript in a question by its shape: who spoke, and which sentences.

use time::{Date, Duration, Weekday};

use super::directives;

#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// A sentence verbatim, within one line, so that a quote can be found again.
    pub(super) text: String,
    pub(super) speaker: Option<String>,
    /// Cue time, as written.
    pub(super) at: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Transcript {
    pub(super) statements: Vec<Statement>,
    /// In the order of their first words.
    pub(super) speakers: Vec<String>,
    pub(super) russian: bool,
    /// The first ISO date of the question.
    pub(super) today: Option<Date>,
}

/// Shorter sentences say nothing ("Right.", "Okay.").
const MIN_STATEMENT_WORDS: usize = 4;

/// "Today" for a question without a date.
pub(super) const DEFAULT_TODAY: Date = time::macros::date!(2026 - 01 - 12);

impl Transcript {
    pub(super) fn find(question: &str) -> Self {
        let mut found = Self { today: first_date(question), ..Self::default() };
        let text = cut_out(question);
        let is_vtt = text.contains("WEBVTT");
        let (mut at, mut in_note) = (None, false);
        for line in text.lines().map(|line| line.trim_start_matches('\u{feff}').trim()) {
            // A comment of WebVTT ends with an empty line.
            in_note = !line.is_empty() && (in_note || is_vtt && line.starts_with("NOTE"));
            let is_number = line.bytes().all(|b| b.is_ascii_digit());
            if let Some((start, _)) = line.split_once("-->").filter(|_| !in_note) {
                at = Some(start.trim().to_owned());
            } else if !(in_note
                || is_number
                || line.starts_with("WEBVTT")
                || line.starts_with("```")
                || line.contains(directives::PREFIX))
            {
                found.add_line(line, &mut at);
            }
        }
        // Drops headings, unless the whole transcript is written without full stops.
        let is_sentence = |s: &Statement| s.speaker.is_some() || s.text.ends_with(['.', '?', '!', '…', '"', '»']);
        if found.statements.iter().any(is_sentence) {
            found.statements.retain(is_sentence);
        }
        let letters = || found.statements.iter().flat_map(|s| s.text.chars()).filter(|c| c.is_alphabetic());
        found.russian = letters().filter(|c| ('а'..='я').contains(c)).count() * 3 > letters().count();
        found
    }

    fn add_line(&mut self, line: &str, at: &mut Option<String>) {
        let (time, line) = leading_time(line);
        if let Some(time) = time {
            *at = Some(time.to_owned());
        }
        let (speaker, words) = speaker(line);
        let speaker = speaker.map(str::to_owned);
        self.speakers.extend(speaker.clone().filter(|name| !self.speakers.contains(name)));
        let long_enough = |sentence: &&str| sentence.split_whitespace().count() >= MIN_STATEMENT_WORDS;
        for sentence in sentences(&without_tags(words)).into_iter().filter(long_enough) {
            self.statements.push(Statement { text: sentence.to_owned(), speaker: speaker.clone(), at: at.clone() });
        }
    }

    /// Returns the person to do what a statement says: another speaker that it names, else its own speaker.
    pub(super) fn owner(&self, statement: &Statement) -> Option<String> {
        let text = statement.text.to_lowercase();
        let is_named = |name: &&String| {
            let first: Vec<char> = name.split_whitespace().next().unwrap_or(name).to_lowercase().chars().collect();
            // Russian declines names: the stem is enough.
            let stem: String = first.iter().take(first.len().max(4) - 1).collect();
            Some(*name) != statement.speaker.as_ref()
                && stem.chars().count() >= 3
                && text.split(|c: char| !c.is_alphabetic()).any(|word| word.starts_with(&stem))
        };
        self.speakers.iter().find(is_named).or(statement.speaker.as_ref()).cloned()
    }

    /// Returns the words of a statement that name a day ("by Friday").
    pub(super) fn due_words(&self, statement: &Statement) -> Option<String> {
        let text = statement.text.to_lowercase();
        let (phrase, _) = due_phrase(&text)?;
        // Lower-casing keeps the number of characters in both languages.
        let start = text[..text.find(phrase)?].chars().count();
        Some(statement.text.chars().skip(start).take(phrase.chars().count()).collect())
    }

    /// Returns the day that a statement names, counted from `today`.
    pub(super) fn due_date(&self, statement: &Statement) -> Option<Date> {
        let today = self.today.unwrap_or(DEFAULT_TODAY);
        Some(match due_phrase(&statement.text.to_lowercase())?.1 {
            Day::Next(weekday) => today.next_occurrence(weekday),
            Day::In(days) => today.saturating_add(Duration::days(days)),
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Day {
    Next(Weekday),
    In(i64),
}

const DAYS: [(&str, Day); 11] = [
    ("by monday|on monday|к понедельнику|до понедельника|в понедельник", Day::Next(Weekday::Monday)),
    ("by tuesday|on tuesday|ко вторнику|до вторника|во вторник", Day::Next(Weekday::Tuesday)),
    ("by wednesday|on wednesday|к среде|до среды|в среду", Day::Next(Weekday::Wednesday)),
    ("by thursday|on thursday|к четвергу|до четверга|в четверг", Day::Next(Weekday::Thursday)),
    ("by friday|on friday|к пятнице|до пятницы|в пятницу", Day::Next(Weekday::Friday)),
    ("by tomorrow|tomorrow|до завтра|завтра", Day::In(1)),
    ("by the end of the week|by end of week|this week|до конца недели|на этой неделе", Day::In(4)),
    ("next week|на следующей неделе", Day::In(7)),
    ("by the end of the month|this month|до конца месяца", Day::In(21)),
    ("next month|в следующем месяце", Day::In(30)),
    ("today|сегодня", Day::In(0)),
];

fn due_phrase(text: &str) -> Option<(&'static str, Day)> {
    let phrases = DAYS.iter().flat_map(|(phrases, day)| phrases.split('|').map(move |phrase| (phrase, *day)));
    phrases.into_iter().find(|(phrase, _)| text.contains(phrase))
}

/// Returns the part of a question that looks like a transcript.
fn cut_out(question: &str) -> &str {
    if let Some(open) = question.find("<transcript") {
        let inside = question[open..].find('>').map_or(open, |end| open + end + 1);
        let close = question[inside..].rfind("</transcript").map_or(question.len(), |end| inside + end);
        return &question[inside..close];
    }
    if let Some(start) = question.find("WEBVTT") {
        return &question[start..];
    }
    let is_spoken = |line: &str| speaker(leading_time(line.trim()).1).0.is_some();
    let mut start = 0;
    let mut lines = question.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        // Two in a row: a lone "Note: …" of an instruction is not speech.
        if is_spoken(line) && lines.peek().is_none_or(|next| is_spoken(next) || next.trim().is_empty()) {
            return &question[start..];
        }
        start += line.len();
    }
    question
}

/// Splits off `[00:01:02]` or `00:01:02` before the words.
fn leading_time(line: &str) -> (Option<&str>, &str) {
    let open = line.strip_prefix(['[', '(']).unwrap_or(line);
    let end = open.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(open.len());
    let (time, words) = open.split_at(end);
    if time.len() < 4 || !time.contains(':') {
        return (None, line);
    }
    (Some(time), words.trim_start_matches([']', ')', ' ', '-']))
}

/// Splits `<v Name>words` or `Name: words`.
fn speaker(line: &str) -> (Option<&str>, &str) {
    if let Some((name, words)) = line.strip_prefix("<v").and_then(|rest| rest.split_once('>')) {
        let name = name.split_once(' ').map_or("", |(_, name)| name).trim();
        return ((!name.is_empty()).then_some(name), words);
    }
    let Some((name, words)) = line.split_once(": ") else { return (None, line) };
    let is_name = name.chars().next().is_some_and(char::is_uppercase)
        && name.chars().count() <= 40
        && name.split_whitespace().count() <= 4
        && name.chars().all(|c| c.is_alphanumeric() || " .'’-()".contains(c));
    if is_name { (name.split(" (").next(), words) } else { (None, line) }
}

fn without_tags(words: &str) -> String {
    let mut in_tag = false;
    let is_plain = |c: &char| {
        let was_in_tag = in_tag;
        in_tag = *c == '<' || in_tag && *c != '>';
        !in_tag && !was_in_tag
    };
    words.chars().filter(is_plain).collect()
}

/// Cuts after `.`, `?`, `!` or `…` before white space or the end.
fn sentences(words: &str) -> Vec<&str> {
    let mut start = 0;
    let mut sentences = Vec::new();
    for (i, c) in words.char_indices() {
        let end = i + c.len_utf8();
        let rest = &words[end..];
        if rest.is_empty() || ".?!…".contains(c) && rest.starts_with(char::is_whitespace) {
            sentences.push(words[start..end].trim());
            start = end;
        }
    }
    sentences
}

/// Finds the first `2026-01-31` of a text.
pub(super) fn first_date(text: &str) -> Option<Date> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    text.match_indices("20").find_map(|(i, _)| Date::parse(text.get(i..i + 10)?, format).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VTT: &str = "Write a report. Received 2026-03-04T10:00:00Z.\n\nWEBVTT\n\n1\n00:00:01.000 --> 00:00:04.000\n<v Ana Ruiz>We decided to ship on Monday. Right.\n\n\
                       00:00:05.000 --> 00:00:09.000\n<v Bo>Ana will send the notes by Friday.\n";

    #[test]
    fn speakers_cue_times_and_sentences_are_found_in_vtt() {
        let found = Transcript::find(VTT);
        assert_eq!(found.speakers, ["Ana Ruiz", "Bo"]);
        assert_eq!(found.statements.len(), 2, "{found:?}");
        assert_eq!(found.statements[1].text, "Ana will send the notes by Friday.");
        assert_eq!(found.statements[1].at.as_deref(), Some("00:00:05.000"));
        assert!(!found.russian);
    }

    #[test]
    fn the_person_named_in_a_sentence_owns_it() {
        let found = Transcript::find(VTT);
        assert_eq!(found.owner(&found.statements[1]).as_deref(), Some("Ana Ruiz"));
    }

    #[test]
    fn a_weekday_is_counted_from_the_day_the_question_names() {
        let found = Transcript::find(VTT);
        assert_eq!(found.due_words(&found.statements[1]).as_deref(), Some("by Friday"));
        assert_eq!(found.due_date(&found.statements[1]), Some(time::macros::date!(2026 - 03 - 06)));
    }

    #[test]
    fn instructions_before_the_first_speaker_are_left_out() {
        let found = Transcript::find(
            "You are careful and precise here.\nNote: answer in the language of the text.\nUse no markup at all.\n\nИрина: Мы решили отложить запуск до весны.\nПавел: Я подготовлю план к пятнице.\n",
        );
        assert_eq!(found.speakers, ["Ирина", "Павел"]);
        assert_eq!(found.statements.len(), 2);
        assert!(found.russian);
        assert_eq!(found.due_words(&found.statements[1]).as_deref(), Some("к пятнице"));
    }

    #[test]
    fn comments_and_headings_are_left_out() {
        let found = Transcript::find(
            "WEBVTT\n\nNOTE\nAll of this is invented by us.\n\n00:01.000 --> 00:02.000\nThe pump has failed again.\n",
        );
        assert_eq!(found.statements.len(), 1, "{found:?}");
        let found = Transcript::find("\u{feff}Notes on the broken pump\n\nThe pump has failed again.");
        assert_eq!(found.statements.len(), 1, "{found:?}");
    }

    #[test]
    fn text_without_speakers_still_has_sentences() {
        let found = Transcript::find("The pump failed twice last night. Nobody was told about it.");
        assert_eq!(found.statements.len(), 2);
        assert!(found.speakers.is_empty());
    }
}
