//! A moment as it is written on the command line: an instant, or how long ago.

use std::{str::FromStr, time::Duration};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// An instant.
    At(OffsetDateTime),
    /// A span before now.
    Ago(Duration),
}

/// Seconds of each unit.
const UNITS: [(&str, u64); 5] = [("min", 60), ("s", 1), ("h", 3600), ("d", 86_400), ("w", 604_800)];
/// A century, in seconds: what is longer is a typing error.
const LONGEST: u64 = 100 * 366 * 86_400;

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(instant) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::At(instant));
        }
        let span = UNITS.into_iter().find_map(|(unit, seconds)| {
            let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            number.checked_mul(seconds).filter(|seconds| *seconds <= LONGEST)
        });
        let seconds = span.ok_or("write 2026-03-04T08:00:00Z, or a span: 90min, 24h, 7d")?;
        Ok(Self::Ago(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_moment_is_an_instant_or_a_span() {
        let ago = |seconds| Ok(Since::Ago(Duration::from_secs(seconds)));
        assert_eq!("90min".parse(), ago(5400));
        assert_eq!("24h".parse(), ago(86_400));
        assert_eq!("7 d".parse(), ago(604_800));
        assert_eq!("30s".parse(), ago(30));
        assert_eq!("2026-03-04T08:00:00Z".parse(), Ok(Since::At(datetime!(2026-03-04 08:00:00 UTC))));
        for nonsense in ["", "7", "d", "-7d", "yesterday", "2026-03-04", "99999999w"] {
            assert!(nonsense.parse::<Since>().unwrap_err().contains("7d"), "{nonsense}");
        }
    }
}
