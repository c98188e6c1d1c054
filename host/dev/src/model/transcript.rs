//! What the stand-in understands of a question: who spoke, which sentences, what they sound like.
//!
//! The stand-in knows no guest and so no prompt: it looks for a transcript in the messages the way a person would, by its shape.

use time::{Date, Duration, Weekday};

/// One sentence, as it stands in the transcript.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// Verbatim; never runs over the end of a line, so that a quote can be found again.
    pub(super) text: String,
    /// Who said it.
    pub(super) speaker: Option<String>,
    /// Cue time, as written.
    pub(super) at: Option<String>,
}

/// The transcript found in a question.
#[derive(Debug, Clone, Default)]
pub(super) struct Transcript {
    pub(super) statements: Vec<Statement>,
    /// In the order of their first words.
    pub(super) speakers: Vec<String>,
    pub(super) russian: bool,
    /// The first ISO date in the question, the nearest thing to "today".
    pub(super) today: Option<Date>,
}

/// Sentences shorter than this say nothing ("Right.", "Okay.").
const WORDS_OF_A_STATEMENT: usize = 4;

impl Transcript {
    /// Reads the transcript out of a question's text.
    pub(super) fn find(question: &str) -> Self {
        let mut found = Self { today: first_date(question), ..Self::default() };
        let text = cut_out(question);
        let mut at = None;
        let is_vtt = text.contains("WEBVTT");
        let mut in_note = false;
        for line in text.lines().map(|line| line.trim_start_matches('\u{feff}').trim()) {
            // A comment of WebVTT ends with an empty line.
            in_note = !line.is_empty() && (in_note || is_vtt && line.starts_with("NOTE"));
            if in_note
                || line.is_empty()
                || line.starts_with("WEBVTT")
                || line.starts_with("```")
                || line.contains("[stand-in:")
            {
                continue;
            }
            if let Some((start, _)) = line.split_once("-->") {
                at = Some(start.trim().to_owned());
                continue;
            }
            if line.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            found.line(line, &mut at);
        }
        found.drop_headings();
        let letters = found.statements.iter().flat_map(|s| s.text.chars()).filter(|c| c.is_alphabetic());
        let (cyrillic, all) =
            letters.fold((0usize, 0usize), |(c, n), letter| (c + usize::from(('а'..='я').contains(&letter)), n + 1));
        found.russian = cyrillic * 3 > all;
        found
    }

    fn line(&mut self, line: &str, at: &mut Option<String>) {
        let (time, line) = leading_time(line);
        if let Some(time) = time {
            *at = Some(time.to_owned());
        }
        let (speaker, words) = speaker(line);
        let words = strip_tags(words);
        if let Some(name) = speaker.filter(|name| !self.speakers.iter().any(|known| known == name)) {
            self.speakers.push(name.to_owned());
        }
        for sentence in sentences(&words).filter(|s| s.split_whitespace().count() >= WORDS_OF_A_STATEMENT) {
            self.statements.push(Statement {
                text: sentence.to_owned(),
                speaker: speaker.map(str::to_owned),
                at: at.clone(),
            });
        }
    }

    /// Drops what nobody says and what is no sentence, unless the whole transcript is written without full stops.
    fn drop_headings(&mut self) {
        let is_sentence = |statement: &Statement| {
            statement.speaker.is_some() || statement.text.ends_with(['.', '?', '!', '…', '"', '»'])
        };
        if self.statements.iter().any(is_sentence) {
            self.statements.retain(is_sentence);
        }
    }

    /// Who is to do what the statement says: somebody named in it, else whoever said it.
    pub(super) fn owner(&self, statement: &Statement) -> Option<String> {
        let text = statement.text.to_lowercase();
        let named = self.speakers.iter().find(|name| {
            let first: String = name.split_whitespace().next().unwrap_or(name).to_lowercase();
            // Russian declines names: the stem is enough.
            let stem: String = first.chars().take(first.chars().count().max(4) - 1).collect();
            Some(*name) != statement.speaker.as_ref()
                && stem.chars().count() >= 3
                && text.split(|c: char| !c.is_alphabetic()).any(|word| word.starts_with(&stem))
        });
        named.cloned().or_else(|| statement.speaker.clone())
    }

    /// The words of a statement that name a day ("by Friday"), and the day, counted from `today`.
    pub(super) fn due(&self, statement: &Statement) -> Option<(String, Date)> {
        let today = self.today.unwrap_or(SOME_DAY);
        let text = statement.text.to_lowercase();
        let (phrase, day) =
            DAYS.iter().find_map(|(words, day)| words.iter().find(|w| text.contains(**w)).map(|w| (*w, *day)))?;
        let date = match day {
            Day::Next(weekday) => today.next_occurrence(weekday),
            Day::In(days) => today.saturating_add(Duration::days(days)),
        };
        // The words as they were written; lower-casing keeps the number of characters in both languages.
        let start = text[..text.find(phrase)?].chars().count();
        Some((statement.text.chars().skip(start).take(phrase.chars().count()).collect(), date))
    }
}

/// "Today" where a question names no date.
pub(super) const SOME_DAY: Date = time::macros::date!(2026 - 01 - 12);

#[derive(Debug, Clone, Copy)]
enum Day {
    Next(Weekday),
    In(i64),
}

const DAYS: [(&[&str], Day); 11] = [
    (&["by monday", "on monday", "к понедельнику", "до понедельника", "в понедельник"], Day::Next(Weekday::Monday)),
    (&["by tuesday", "on tuesday", "ко вторнику", "до вторника", "во вторник"], Day::Next(Weekday::Tuesday)),
    (&["by wednesday", "on wednesday", "к среде", "до среды", "в среду"], Day::Next(Weekday::Wednesday)),
    (&["by thursday", "on thursday", "к четвергу", "до четверга", "в четверг"], Day::Next(Weekday::Thursday)),
    (&["by friday", "on friday", "к пятнице", "до пятницы", "в пятницу"], Day::Next(Weekday::Friday)),
    (&["by tomorrow", "tomorrow", "до завтра", "завтра"], Day::In(1)),
    (&["by the end of the week", "by end of week", "this week", "до конца недели", "на этой неделе"], Day::In(4)),
    (&["next week", "на следующей неделе"], Day::In(7)),
    (&["by the end of the month", "this month", "до конца месяца"], Day::In(21)),
    (&["next month", "в следующем месяце"], Day::In(30)),
    (&["today", "сегодня"], Day::In(0)),
];

/// The part of a question that looks like a transcript.
fn cut_out(question: &str) -> &str {
    if let Some(open) = question.find("<transcript") {
        let inside = question[open..].find('>').map_or(open, |end| open + end + 1);
        let close = question[inside..].rfind("</transcript").map_or(question.len(), |end| inside + end);
        return &question[inside..close];
    }
    if let Some(start) = question.find("WEBVTT") {
        return &question[start..];
    }
    let spoken = |line: &str| speaker(leading_time(line.trim()).1).0.is_some();
    let mut start = 0;
    let mut lines = question.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        // Two in a row: a lone "Note: …" of an instruction is not speech.
        if spoken(line) && lines.peek().is_none_or(|next| spoken(next) || next.trim().is_empty()) {
            return &question[start..];
        }
        start += line.len();
    }
    question
}

/// `[00:01:02]` or `00:01:02` before the words.
fn leading_time(line: &str) -> (Option<&str>, &str) {
    let open = line.strip_prefix('[').or_else(|| line.strip_prefix('(')).unwrap_or(line);
    let end = open.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(open.len());
    let time = &open[..end];
    if time.len() < 4 || !time.contains(':') {
        return (None, line);
    }
    (Some(time), open[end..].trim_start_matches([']', ')', ' ', '-']))
}

/// `<v Name>words` or `Name: words`.
fn speaker(line: &str) -> (Option<&str>, &str) {
    if let Some((name, words)) = line.strip_prefix("<v").and_then(|rest| rest.split_once('>')) {
        let name = name.split_once(' ').map_or("", |(_, name)| name).trim();
        return ((!name.is_empty()).then_some(name), words);
    }
    let Some((name, words)) = line.split_once(": ") else { return (None, line) };
    let shape = name.chars().next().is_some_and(char::is_uppercase)
        && name.chars().count() <= 40
        && name.split_whitespace().count() <= 4
        && name.chars().all(|c| c.is_alphanumeric() || " .'’-()".contains(c));
    if shape { (Some(name.split(" (").next().unwrap_or(name)), words) } else { (None, line) }
}

fn strip_tags(words: &str) -> String {
    let mut plain = String::with_capacity(words.len());
    let mut inside = false;
    for c in words.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if inside => {}
            _ => plain.push(c),
        }
    }
    plain
}

/// Cuts where `.`, `?`, `!` or `…` is followed by white space or the end.
fn sentences(words: &str) -> impl Iterator<Item = &str> {
    let mut rest = words.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .find(|(i, c)| {
                ".?!…".contains(*c) && rest[i + c.len_utf8()..].chars().next().is_none_or(char::is_whitespace)
            })
            .map_or(rest.len(), |(i, c)| i + c.len_utf8());
        let (sentence, tail) = rest.split_at(end);
        rest = tail.trim_start();
        Some(sentence.trim())
    })
}

/// The first `2026-01-31` of a text.
fn first_date(text: &str) -> Option<Date> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    text.match_indices("20")
        .find_map(|(i, _)| text.get(i..i + 10).and_then(|candidate| Date::parse(candidate, format).ok()))
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
        assert_eq!(
            found.due(&found.statements[1]).unwrap(),
            ("by Friday".to_owned(), time::macros::date!(2026 - 03 - 06))
        );
    }

    #[test]
    fn instructions_before_the_first_speaker_are_left_out() {
        let found = Transcript::find(
            "You are careful and precise here.\nNote: answer in the language of the text.\nUse no markup at all.\n\nИрина: Мы решили отложить запуск до весны.\nПавел: Я подготовлю план к пятнице.\n",
        );
        assert_eq!(found.speakers, ["Ирина", "Павел"]);
        assert_eq!(found.statements.len(), 2);
        assert!(found.russian);
        assert_eq!(found.due(&found.statements[1]).unwrap().0, "к пятнице");
    }

    #[test]
    fn comments_and_headings_are_nobodys_words() {
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
