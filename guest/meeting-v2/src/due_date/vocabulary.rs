//! Words for days, months and numbers, in lower case and with "е" for "ё".

use time::{Month, Weekday};

pub(super) fn means_no_day(text: &str) -> bool {
    matches!(
        text,
        "" | "none"
            | "null"
            | "n/a"
            | "na"
            | "unknown"
            | "unspecified"
            | "not specified"
            | "not stated"
            | "not mentioned"
            | "no date"
            | "no due date"
            | "no deadline"
            | "tbd"
            | "нет"
            | "не указано"
            | "не указана"
            | "не указан"
            | "не определено"
            | "не назначено"
            | "без срока"
            | "неизвестно"
    )
}

/// Returns the words that name the day. "No" and "later" are fillers only together; alone they negate the day.
pub(super) fn without_fillers<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut left = words;
    while let [first, others @ ..] = left {
        left = match left {
            ["no" | "not", "later", "than", rest @ ..]
            | ["не", "позже" | "позднее", "чем", rest @ ..]
            | ["не", "позже" | "позднее", rest @ ..] => rest,
            ["at" | "в", time, rest @ ..] if is_dotted_time(time) => rest,
            _ => {
                if !is_filler(first) {
                    kept.push(*first);
                }
                others
            }
        };
    }
    kept
}

/// Returns whether a word adds nothing to the day: a preposition, or a time of day, which a date cannot hold.
fn is_filler(token: &str) -> bool {
    let listed = matches!(
        token,
        "by" | "on"
            | "until"
            | "till"
            | "before"
            | "due"
            | "at"
            | "the"
            | "this"
            | "coming"
            | "upcoming"
            | "latest"
            | "morning"
            | "noon"
            | "midday"
            | "afternoon"
            | "evening"
            | "night"
            | "к"
            | "ко"
            | "до"
            | "на"
            | "в"
            | "во"
            | "этот"
            | "эту"
            | "эта"
            | "это"
            | "этой"
            | "этого"
            | "ближайшую"
            | "ближайший"
            | "утро"
            | "утра"
            | "утром"
            | "полудня"
            | "днем"
            | "обеда"
            | "вечер"
            | "вечера"
            | "вечеру"
            | "вечером"
            | "ночью"
            | "часов"
            | "часа"
    );
    listed || is_time(token)
}

/// Recognizes "9.10", which is a date unless a preposition marks it as a time.
fn is_dotted_time(token: &str) -> bool {
    let below = |text: &str, end: u8| text.len() <= 2 && text.parse::<u8>().is_ok_and(|number| number < end);
    token.split_once('.').is_some_and(|(hours, minutes)| minutes.len() == 2 && below(hours, 24) && below(minutes, 60))
}

/// Recognizes "17:00", "5pm" and "5:30pm".
fn is_time(token: &str) -> bool {
    let half = token.strip_suffix("am").or_else(|| token.strip_suffix("pm"));
    let clock = half.unwrap_or(token);
    let digits = |text: &str| matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
    match clock.split_once(':') {
        Some((hours, minutes)) => digits(hours) && digits(minutes),
        None => half.is_some() && digits(clock),
    }
}

pub(super) fn is_next(word: &str) -> bool {
    word == "next" || word.starts_with("следующ")
}

pub(super) fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "monday" | "mon" | "понедельник" | "понедельника" | "понедельнику" | "пн" => {
            Weekday::Monday
        }
        "tuesday" | "tue" | "tues" | "вторник" | "вторника" | "вторнику" | "вт" => {
            Weekday::Tuesday
        }
        "wednesday" | "wed" | "среда" | "среду" | "среды" | "среде" | "ср" => Weekday::Wednesday,
        "thursday" | "thu" | "thur" | "thurs" | "четверг" | "четверга" | "четвергу" | "чт" => {
            Weekday::Thursday
        }
        "friday" | "fri" | "пятница" | "пятницу" | "пятницы" | "пятнице" | "пт" => {
            Weekday::Friday
        }
        "saturday" | "sat" | "суббота" | "субботу" | "субботы" | "субботе" | "сб" => {
            Weekday::Saturday
        }
        "sunday" | "sun" | "воскресенье" | "воскресенья" | "воскресенью" | "вс" => {
            Weekday::Sunday
        }
        _ => return None,
    })
}

pub(super) fn month(word: &str) -> Option<Month> {
    Some(match word {
        "january" | "jan" | "января" => Month::January,
        "february" | "feb" | "февраля" => Month::February,
        "march" | "mar" | "марта" => Month::March,
        "april" | "apr" | "апреля" => Month::April,
        "may" | "мая" => Month::May,
        "june" | "jun" | "июня" => Month::June,
        "july" | "jul" | "июля" => Month::July,
        "august" | "aug" | "августа" => Month::August,
        "september" | "sep" | "sept" | "сентября" => Month::September,
        "october" | "oct" | "октября" => Month::October,
        "november" | "nov" | "ноября" => Month::November,
        "december" | "dec" | "декабря" => Month::December,
        _ => return None,
    })
}

pub(super) fn days_in(unit: &str) -> Option<i64> {
    match unit {
        "day" | "days" | "день" | "дня" | "дней" => Some(1),
        "week" | "weeks" | "неделю" | "недели" | "недель" => Some(7),
        _ => None,
    }
}

/// Reads digits, or a small number in words.
pub(super) fn number(word: &str) -> Option<i64> {
    Some(match word {
        "a" | "one" | "один" | "одну" => 1,
        "two" | "два" | "две" => 2,
        "three" | "три" => 3,
        "four" | "четыре" => 4,
        "five" | "пять" => 5,
        "six" | "шесть" => 6,
        "seven" | "семь" => 7,
        "eight" | "восемь" => 8,
        "nine" | "девять" => 9,
        "ten" | "десять" => 10,
        _ if word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit()) => {
            return word.parse().ok();
        }
        _ => return None,
    })
}
