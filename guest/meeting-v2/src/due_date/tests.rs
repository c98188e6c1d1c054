//! Days that were said on Wednesday, 4 March 2026, unless a test names another day.

use proptest::prelude::*;
use time::Date;

use super::{DueDate, iso, received_on, resolve};

fn on(received_at: &str, said: &str) -> String {
    match resolve(said, received_on(received_at)) {
        DueDate::On(date) => iso(date),
        other => format!("{other:?}"),
    }
}

fn said(text: &str) -> String {
    on("2026-03-04T09:30:00Z", text)
}

#[test]
fn english_days_are_resolved() {
    for (text, date) in [
        ("today", "2026-03-04"),
        ("by end of day", "2026-03-04"),
        ("EOD", "2026-03-04"),
        ("tonight", "2026-03-04"),
        ("Tomorrow.", "2026-03-05"),
        ("tomorrow at 5pm", "2026-03-05"),
        ("the day after tomorrow", "2026-03-06"),
        ("by Friday", "2026-03-06"),
        ("Friday morning", "2026-03-06"),
        ("by EOD Friday", "2026-03-06"),
        ("on Fri, 17:00", "2026-03-06"),
        ("this Wednesday", "2026-03-04"),
        ("Tuesday", "2026-03-10"),
        ("next Monday", "2026-03-09"),
        ("next Friday", "2026-03-13"),
        ("next Wednesday", "2026-03-11"),
        ("end of the week", "2026-03-06"),
        ("by the end of next week", "2026-03-13"),
        ("next week", "2026-03-13"),
        ("by the end of the month", "2026-03-31"),
        ("end of next month", "2026-04-30"),
        ("in 3 days", "2026-03-07"),
        ("within two weeks", "2026-03-18"),
        ("in a week", "2026-03-11"),
        ("5 March", "2026-03-05"),
        ("March 5th", "2026-03-05"),
        ("the 5th of March", "2026-03-05"),
        ("March 5th, 2027", "2027-03-05"),
        ("5th of March, 2027", "2027-03-05"),
        ("by 3 March", "2027-03-03"),
        ("Friday, 6 March", "2026-03-06"),
        ("Friday, March 6, 2026", "2026-03-06"),
        ("no later than Friday", "2026-03-06"),
        ("Friday at 9.10", "2026-03-06"),
    ] {
        assert_eq!(said(text), date, "{text}");
    }
}

#[test]
fn russian_days_are_resolved() {
    for (text, date) in [
        ("сегодня", "2026-03-04"),
        ("до конца дня", "2026-03-04"),
        ("завтра", "2026-03-05"),
        ("Завтра к вечеру", "2026-03-05"),
        ("послезавтра", "2026-03-06"),
        ("к пятнице", "2026-03-06"),
        ("в эту пятницу", "2026-03-06"),
        ("до понедельника", "2026-03-09"),
        ("во вторник", "2026-03-10"),
        ("в среду в 17:00", "2026-03-04"),
        ("в следующую пятницу", "2026-03-13"),
        ("на следующей неделе", "2026-03-13"),
        ("до конца недели", "2026-03-06"),
        ("до конца следующей недели", "2026-03-13"),
        ("к концу месяца", "2026-03-31"),
        ("до конца следующего месяца", "2026-04-30"),
        ("через 3 дня", "2026-03-07"),
        ("через неделю", "2026-03-11"),
        ("через две недели", "2026-03-18"),
        ("в течение недели", "2026-03-11"),
        ("5 марта", "2026-03-05"),
        ("к 5-му марта", "2026-03-05"),
        ("5 марта 2027 года", "2027-03-05"),
        ("05.03", "2026-03-05"),
        ("05.03.2027", "2027-03-05"),
        ("в пятницу, 6 марта", "2026-03-06"),
        ("не позже пятницы", "2026-03-06"),
        ("не позднее пятницы", "2026-03-06"),
        ("не позже чем в пятницу", "2026-03-06"),
        ("в пятницу в 9.10", "2026-03-06"),
        ("к 9.10", "2026-10-09"),
    ] {
        assert_eq!(said(text), date, "{text}");
    }
}

#[test]
fn full_dates_are_resolved_with_and_without_a_received_day() {
    for text in [
        "2026-03-05",
        " 2026-03-05. ",
        "by 2026-03-05",
        "2026-03-05T10:00:00Z",
        "2026/03/05",
        "05.03.2026",
        "5 March 2026",
    ] {
        assert_eq!(said(text), "2026-03-05", "{text}");
        assert_eq!(on("no instant", text), "2026-03-05", "{text}");
    }
    assert_eq!(on("no instant", "tomorrow"), "Uncertain");
}

#[test]
fn an_uncertain_day_is_not_guessed() {
    for text in [
        "soon",
        "Friday or Monday",
        "after the release",
        "05/03/2026",
        "5/3",
        "31 February",
        "2026-02-30",
        "32.01",
        "March",
        "next",
        "in many days",
        "in 9999 days",
        "Q3",
        "Friday, 7 March",
        "every Friday",
        "когда-нибудь",
        "через день",
        "пятница или понедельник",
        "in -3 days",
        "99999-01-01",
        "no Friday",
        "not on Friday",
        "later than Friday",
        "no later than no Friday",
        "не в пятницу",
        "не завтра",
        "позже пятницы",
        "позднее 5 марта",
        "at 9.10",
        "в 9.10",
        &"friday ".repeat(5000),
        &format!("5 {}march", "of ".repeat(20_000)),
        "eod eod eod eod eod eod eod eod friday",
    ] {
        assert_eq!(said(text), "Uncertain", "{text}");
    }
}

#[test]
fn texts_that_mean_no_day_are_understood() {
    for text in ["", " ", "N/A", "none", "Not specified.", "TBD", "не указано", "—"] {
        assert_eq!(said(text), "NotSaid", "{text}");
    }
}

#[test]
fn months_weeks_and_years_end_where_they_should() {
    assert_eq!(on("2026-12-31T23:59:59Z", "tomorrow"), "2027-01-01");
    assert_eq!(on("2026-12-31T23:59:59Z", "end of next month"), "2027-01-31");
    assert_eq!(on("2028-02-01T00:00:00Z", "end of the month"), "2028-02-29");
    assert_eq!(on("2026-03-04T00:00:00Z", "29 February"), "2028-02-29");
    assert_eq!(on("2026-03-08T00:00:00Z", "next Monday"), "2026-03-09");
    assert_eq!(on("2026-03-09T00:00:00Z", "next Monday"), "2026-03-16");
    assert_eq!(on("9999-12-31T00:00:00Z", "tomorrow"), "Uncertain");
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(text in "[a-zа-я0-9 .:/-]{0,24}") {
        let _ = said(&text);
    }

    #[test]
    fn relative_days_lie_ahead_and_within_two_weeks(days in 0i64..40_000, text in prop::sample::select(vec!["today", "by Friday", "next Monday", "next Sunday", "end of week", "завтра", "к среде", "next week"])) {
        let today = Date::from_ordinal_date(2000, 1).expect("a day") + time::Duration::days(days);
        let DueDate::On(date) = resolve(text, Some(today)) else { panic!("{text} is certain") };
        let ahead = (date - today).whole_days();
        prop_assert!((0..=14).contains(&ahead), "{} from {}: {}", text, today, ahead);
    }

    #[test]
    fn a_formatted_date_is_read_back(days in 0i64..40_000) {
        let date = Date::from_ordinal_date(2000, 1).expect("a day") + time::Duration::days(days);
        prop_assert_eq!(resolve(&iso(date), None), DueDate::On(date));
    }
}
