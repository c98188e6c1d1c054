//! A point in the past as an argument: a time, a day, or a span before now.

use std::{str::FromStr, time::Duration};

use time::{Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// Units with their seconds.
const UNITS: [(&str, u64); 5] = [("min", 60), ("s", 1), ("h", 3600), ("d", 86_400), ("w", 604_800)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    At(OffsetDateTime),
    Ago(Duration),
}

impl Since {
    /// Returns the time. `now` comes from the clock that it is compared with.
    pub fn instant(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(instant) => instant,
            Self::Ago(span) => now - span,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(instant) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::At(instant));
        }
        if let Ok(day) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Self::At(day.midnight().assume_utc()));
        }
        span(text).map(Self::Ago).ok_or_else(|| {
            "expected a time (2026-03-04T09:30:00Z), a day in UTC (2026-03-04) or a span (90s, 30min, 24h, 7d, 2w)"
                .to_owned()
        })
    }
}

/// Parses whole units, up to 100 years: more is a typing error.
pub fn span(text: &str) -> Option<Duration> {
    let (number, seconds) = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let total = number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(*seconds)?;
    (total <= 100 * 366 * 86_400).then_some(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_a_day_and_a_span_are_points_in_the_past() {
        let now = datetime!(2026-03-04 09:30:00 UTC);
        for (text, instant) in [
            ("2026-03-01T08:00:00Z", datetime!(2026-03-01 08:00:00 UTC)),
            ("2026-03-01T08:00:00+02:00", datetime!(2026-03-01 06:00:00 UTC)),
            ("2026-03-01", datetime!(2026-03-01 00:00:00 UTC)),
            ("90s", datetime!(2026-03-04 09:28:30 UTC)),
            ("30min", datetime!(2026-03-04 09:00:00 UTC)),
            ("24h", datetime!(2026-03-03 09:30:00 UTC)),
            ("7d", datetime!(2026-02-25 09:30:00 UTC)),
            ("2w", datetime!(2026-02-18 09:30:00 UTC)),
        ] {
            assert_eq!(text.parse::<Since>().unwrap().instant(now), instant, "{text}");
        }
    }

    #[test]
    fn an_invalid_time_is_refused_with_examples() {
        for text in ["", "yesterday", "7", "d", "-7d", "+7d", "1.5h", "2026-03-01 08:00", "2026-13-01", "99999999999w"]
        {
            assert!(text.parse::<Since>().unwrap_err().contains("7d"), "{text}");
        }
    }
}
