//! A time as the database stores it: also one that no calendar here can hold.

use std::fmt;

use serde::{Serialize, Serializer};
use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueFormat, PgValueRef},
};
use time::{
    Duration, OffsetDateTime,
    format_description::well_known::Rfc3339,
    macros::{datetime, format_description},
};

/// The first and the last instant that RFC 3339 can write.
const EARLIEST: OffsetDateTime = datetime!(0000-01-01 00:00:00 UTC);
const LATEST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999999 UTC);
/// Postgres counts from here.
const PG_EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00:00 UTC);

/// A column `timestamptz`. Reading one never fails: another program, or a clock that was wrong, may have written `infinity`
/// or the year 20000, and one such row must not hide the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredTime {
    /// An instant of the years 0 to 9999. Earlier ones are shown as the first of them.
    At(OffsetDateTime),
    /// Later than the year 9999.
    Never,
}

impl StoredTime {
    /// Returns the instant, if there is one.
    pub const fn at(self) -> Option<OffsetDateTime> {
        match self {
            Self::At(at) => Some(at),
            Self::Never => None,
        }
    }

    /// Returns the instant as RFC 3339, or `never`.
    pub fn rfc3339(self) -> String {
        // Every instant of the years 0 to 9999 can be written so.
        self.at().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| "never".to_owned())
    }

    fn from_micros(since_2000: i64) -> Self {
        match PG_EPOCH.checked_add(Duration::microseconds(since_2000)) {
            Some(at) if at > LATEST => Self::Never,
            Some(at) => Self::At(at.max(EARLIEST)),
            None if since_2000 > 0 => Self::Never,
            None => Self::At(EARLIEST),
        }
    }
}

impl From<OffsetDateTime> for StoredTime {
    fn from(at: OffsetDateTime) -> Self {
        Self::At(at)
    }
}

/// Shows an instant in UTC, to the second.
impl fmt::Display for StoredTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.at().map(|at| {
            let seconds = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
            at.to_offset(time::UtcOffset::UTC).format(seconds).unwrap_or_default()
        });
        f.pad(shown.as_deref().unwrap_or("never"))
    }
}

/// RFC 3339, or `never`.
impl Serialize for StoredTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

impl Type<Postgres> for StoredTime {
    fn type_info() -> PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for StoredTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self::from_micros(i64::decode(value)?)),
            PgValueFormat::Text => Ok(Self::At(OffsetDateTime::decode(value)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Microseconds of a year of 365.25 days.
    const YEAR: i64 = 31_557_600_000_000;

    #[test]
    fn an_instant_of_our_era_is_shown_as_it_is() {
        let at = datetime!(2026-03-04 09:30:00 UTC);
        let micros = i64::try_from((at - PG_EPOCH).whole_microseconds()).expect("it fits");
        let read = StoredTime::from_micros(micros);
        assert_eq!(read, StoredTime::At(at));
        assert_eq!(read.to_string(), "2026-03-04 09:30:00 UTC");
        assert_eq!(serde_json::to_value(read).expect("a time is a string"), "2026-03-04T09:30:00Z");
        assert_eq!(StoredTime::from_micros(7998 * YEAR).at().map(OffsetDateTime::year), Some(9998));
    }

    #[test]
    fn what_no_calendar_holds_is_never_or_the_first_year() {
        for beyond in [8001 * YEAR, 18_000 * YEAR, 292_000 * YEAR, i64::MAX - 1, i64::MAX] {
            let read = StoredTime::from_micros(beyond);
            assert_eq!((read, read.to_string().as_str()), (StoredTime::Never, "never"), "{beyond}");
            assert_eq!(serde_json::to_value(read).expect("a string"), "never");
        }
        for before in [-2044 * YEAR, -6700 * YEAR, -20_000 * YEAR, i64::MIN + 1, i64::MIN] {
            let read = StoredTime::from_micros(before);
            assert_eq!(read, StoredTime::At(EARLIEST), "{before}");
            assert_eq!(serde_json::to_value(read).expect("a string"), "0000-01-01T00:00:00Z");
        }
    }
}
