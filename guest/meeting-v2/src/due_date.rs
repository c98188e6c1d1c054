//! Days as people say them, in English and Russian, resolved against the day when the transcript was received.
//!
//! | said | becomes |
//! |---|---|
//! | today, tonight, end of day; сегодня | the day itself |
//! | tomorrow, the day after tomorrow; завтра, послезавтра | 1, 2 days later |
//! | (by, on, this) Friday; к пятнице, в эту пятницу | the first Friday from that day on, that day included |
//! | next Friday; в следующую пятницу | the Friday of the following week (weeks begin on Monday) |
//! | end of the week; до конца недели | as "Friday" |
//! | next week; на следующей неделе | the Friday of the following week |
//! | end of the month, of next month; до конца (следующего) месяца | that month's last day |
//! | in 3 days, in two weeks; через 3 дня, через неделю | that many days later |
//! | 5 March, March 5th, 2026; 5 марта, 05.03.2026, 2026-03-05 | that day; without a year the first from that day on |
//!
//! Every word must be understood, apart from a time of day such as "at 9.10". Everything else is uncertain, negations too:
//! a guess is worse than no date.

mod vocabulary;

use time::{Date, Duration, Month, OffsetDateTime, Weekday, format_description::well_known::Rfc3339};

use self::vocabulary::{days_in, is_next, means_no_day, month, number, weekday, without_fillers};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DueDate {
    On(Date),
    /// The text means that no day was said.
    NotSaid,
    Uncertain,
}

/// Limits the distance of a due date.
const MAX_DAYS_AHEAD: i64 = 3660;

/// Limits the length of a text. With [`MAX_WORDS`] it also limits the recursion.
const MAX_CHARS: usize = 80;
const MAX_WORDS: usize = 8;

/// Returns the day of an RFC 3339 instant.
pub(crate) fn received_on(received_at: &str) -> Option<Date> {
    OffsetDateTime::parse(received_at, &Rfc3339).ok().map(OffsetDateTime::date)
}

/// Formats a day as `YYYY-MM-DD`.
pub(crate) fn iso(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// Resolves a text. Without `received_on` only full dates are certain.
pub(crate) fn resolve(said: &str, received_on: Option<Date>) -> DueDate {
    if said.chars().nth(MAX_CHARS).is_some() {
        return DueDate::Uncertain;
    }
    let said = said.to_lowercase().replace('ё', "е");
    let tokens: Vec<&str> = said
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')'))
        .map(trim)
        .filter(|t| !t.is_empty())
        .take(MAX_WORDS + 1)
        .collect();
    if tokens.len() > MAX_WORDS {
        return DueDate::Uncertain;
    }
    if means_no_day(&tokens.join(" ")) {
        return DueDate::NotSaid;
    }
    let kept = without_fillers(&tokens);
    let date = full_date(&kept).or_else(|| received_on.and_then(|today| relative(&kept, today)));
    match date.filter(|date| (0..=9999).contains(&date.year())) {
        Some(date) => DueDate::On(date),
        None => DueDate::Uncertain,
    }
}

fn trim(token: &str) -> &str {
    // A minus sign changes what a number means; it stays and makes the text uncertain.
    token
        .trim_end_matches(|c: char| !c.is_alphanumeric())
        .trim_start_matches(|c: char| !c.is_alphanumeric() && c != '-')
}

/// Reads a date with a year.
fn full_date(words: &[&str]) -> Option<Date> {
    match words {
        [only] => numeric(only, ['-', '/'], |[year, month, day]| (year, month, day))
            .or_else(|| numeric(only, ['.', '.'], |[day, month, year]| (year, month, day)))
            .or_else(|| numeric(only.split('t').next()?, ['-', '-'], |[year, month, day]| (year, month, day))),
        [day, "of", rest @ ..] if ordinal(day).is_some() => full_date(&[&[*day], rest].concat()),
        [a, b, year] | [a, b, year, "г" | "года"] => {
            let (day, month) = day_month(a, b)?;
            Date::from_calendar_date(four_digits(year)?, month, day).ok()
        }
        _ => None,
    }
}

/// Reads three numbers with one separator; the year has four digits.
fn numeric(text: &str, separators: [char; 2], order: fn([&str; 3]) -> (&str, &str, &str)) -> Option<Date> {
    let separator = separators.into_iter().find(|separator| text.contains(*separator))?;
    let parts: Vec<&str> = text.split(separator).collect();
    let (year, month, day) = order(parts.try_into().ok()?);
    let month = Month::try_from(one_or_two_digits(month)?).ok()?;
    Date::from_calendar_date(four_digits(year)?, month, one_or_two_digits(day)?).ok()
}

/// Reads a day that depends on today.
fn relative(words: &[&str], today: Date) -> Option<Date> {
    let friday_of = |date: Date| on_or_after(date, Weekday::Friday);
    match words {
        ["today" | "tonight" | "eod" | "cob" | "сегодня"] | ["end", "of", "day" | "today"] | ["конца", "дня"] => {
            Some(today)
        }
        ["tomorrow" | "завтра"] => later(today, 1),
        ["day", "after", "tomorrow"] | ["послезавтра"] => later(today, 2),
        ["end", "of", "week"] | ["конца" | "конец" | "концу", "недели"] => friday_of(today),
        ["end", "of", next, "week"]
        | ["конца" | "конец" | "концу", next, "недели"]
        | [next, "week" | "неделе" | "неделя" | "неделю"]
            if is_next(next) =>
        {
            friday_of(next_monday(today)?)
        }
        ["end", "of", "month"] | ["конца" | "конец" | "концу", "месяца"] => last_of_month(today),
        ["end", "of", next, "month"] | ["конца" | "конец" | "концу", next, "месяца"] if is_next(next) => {
            last_of_month(later(last_of_month(today)?, 1)?)
        }
        ["in" | "within" | "через" | "течение", count, unit] => {
            later(today, number(count)?.checked_mul(days_in(unit)?)?)
        }
        ["через" | "течение", unit] => later(today, days_in(unit).filter(|days| *days == 7)?),
        [next, day] if is_next(next) => on_or_after(next_monday(today)?, weekday(day)?),
        [day] => match weekday(day) {
            Some(day) => on_or_after(today, day),
            None => {
                let (day, month) = day.split_once('.')?;
                upcoming(today, one_or_two_digits(day)?, Month::try_from(one_or_two_digits(month)?).ok()?)
            }
        },
        [day, "of", month] if ordinal(day).is_some() => relative(&[day, month], today),
        // "Friday, 6 March": the weekday must match the date.
        [name, rest @ ..] if weekday(name).is_some() && rest.len() > 1 => {
            let date = full_date(rest).or_else(|| relative(rest, today))?;
            (Some(date.weekday()) == weekday(name)).then_some(date)
        }
        ["eod" | "cob", rest @ ..] | [rest @ .., "eod" | "cob"] => relative(rest, today),
        [a, b] => {
            let (day, month) = day_month(a, b)?;
            upcoming(today, day, month)
        }
        _ => None,
    }
}

fn later(date: Date, days: i64) -> Option<Date> {
    (0..=MAX_DAYS_AHEAD).contains(&days).then(|| date.checked_add(Duration::days(days))).flatten()
}

fn on_or_after(date: Date, wanted: Weekday) -> Option<Date> {
    let ahead = (7 + wanted.number_days_from_monday() - date.weekday().number_days_from_monday()) % 7;
    later(date, ahead.into())
}

fn next_monday(date: Date) -> Option<Date> {
    on_or_after(later(date, 1)?, Weekday::Monday)
}

fn last_of_month(date: Date) -> Option<Date> {
    date.replace_day(date.month().length(date.year())).ok()
}

/// Returns the first such day from `today` on; 29 February may be eight years away.
fn upcoming(today: Date, day: u8, month: Month) -> Option<Date> {
    (0..=8)
        .filter_map(|years| Date::from_calendar_date(today.year() + years, month, day).ok())
        .find(|date| *date >= today)
}

fn day_month(a: &str, b: &str) -> Option<(u8, Month)> {
    match (ordinal(a), month(b), month(a), ordinal(b)) {
        (Some(day), Some(month), _, _) | (_, _, Some(month), Some(day)) => Some((day, month)),
        _ => None,
    }
}

/// Reads "5", "5th", "5-го" or "05".
fn ordinal(text: &str) -> Option<u8> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    matches!(&text[digits.len()..], "" | "st" | "nd" | "rd" | "th" | "-го" | "го" | "-е" | "-му")
        .then(|| one_or_two_digits(digits))
        .flatten()
}

fn one_or_two_digits(digits: &str) -> Option<u8> {
    let plain = matches!(digits.len(), 1 | 2) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn four_digits(digits: &str) -> Option<i32> {
    (digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
