//! The rate of a requeue as an argument.

use std::str::FromStr;

/// Units with their seconds.
const UNITS: [(&str, f64); 3] = [("s", 1.0), ("min", 60.0), ("h", 3600.0)];

/// Starts per unit of time, evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Seconds from one start to the next.
    pub gap: f64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.split_once('/').and_then(|(number, unit)| {
            let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
            let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
            Some(Self { gap: seconds / f64::from(number) })
        });
        rate.ok_or_else(|| "expected 30/min, 2/s or 500/h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_per_unit() {
        let gap = |text: &str| text.parse::<Rate>().unwrap().gap;
        assert_eq!([gap("30/min"), gap("2/s"), gap("3600/h")], [2.0, 0.5, 1.0]);
        for text in ["30", "0/min", "-1/min", "1.5/s", "30/day", "/min", "30/"] {
            assert!(text.parse::<Rate>().unwrap_err().contains("30/min"), "{text}");
        }
    }
}
