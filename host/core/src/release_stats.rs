//! The results of a release, and the rule that halts a canary.

use std::fmt;

use serde::Serialize;

/// Results of a canary before the rule applies. See docs/adr/0013.
pub const MIN_SAMPLE: i64 = 20;
/// Percentage points by which the fault rate of a canary may exceed that of the active release.
pub const MAX_EXCESS_FAULT_POINTS: f64 = 5.0;
/// Percentage points by which the rejection rate of a canary may exceed that of the active release.
pub const MAX_EXCESS_REJECTION_POINTS: f64 = 10.0;

/// The results of the attempts on a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReleaseStats {
    /// Jobs that ended, with a report or without.
    pub jobs: i64,
    /// Jobs that measure the release: it made a report, rejected the answers, or was at fault in an attempt.
    pub results: i64,
    /// Results whose answers the guest rejected.
    pub rejections: i64,
    /// Results with a fault of the guest, or of the model at its question.
    pub faults: i64,
    /// Attempts after which the job waited for another attempt.
    pub retries: i64,
    /// Tokens of the prompts.
    pub tokens_in: i64,
    /// Tokens of the answers.
    pub tokens_out: i64,
    /// Time in the sandbox, in microseconds.
    pub guest_micros: i64,
}

impl ReleaseStats {
    /// Returns rejections per result, in percent.
    pub fn rejection_percent(&self) -> f64 {
        percent(self.rejections, self.results)
    }

    /// Returns faults per result, in percent.
    pub fn fault_percent(&self) -> f64 {
        percent(self.faults, self.results)
    }
}

fn percent(part: i64, of: i64) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * part as f64 / of as f64 }
}

/// Why a canary is halted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HaltReason {
    /// "faults" or "rejections".
    what: &'static str,
    canary: f64,
    active: f64,
    results: i64,
    points: f64,
}

impl fmt::Display for HaltReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, canary, active, results, points } = self;
        write!(
            f,
            "{what} in {canary:.1} % of {results} results, the active release {active:.1} %; {points} points are allowed"
        )
    }
}

/// Returns why a canary is halted, or `None` while it may go on. Both statistics start when the canary starts. An active
/// release without results counts as one without faults.
pub fn halt_reason(canary: &ReleaseStats, active: &ReleaseStats) -> Option<HaltReason> {
    if canary.results < MIN_SAMPLE {
        return None;
    }
    let rules = [
        ("faults", canary.fault_percent(), active.fault_percent(), MAX_EXCESS_FAULT_POINTS),
        ("rejections", canary.rejection_percent(), active.rejection_percent(), MAX_EXCESS_REJECTION_POINTS),
    ];
    rules.into_iter().find(|(_, canary, active, points)| canary - active > *points).map(
        |(what, percent, active, points)| HaltReason { what, canary: percent, active, results: canary.results, points },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(results: i64, rejections: i64, faults: i64) -> ReleaseStats {
        ReleaseStats { jobs: results, results, rejections, faults, ..ReleaseStats::default() }
    }

    #[test]
    fn a_canary_is_not_halted_before_twenty_results() {
        assert_eq!(halt_reason(&stats(19, 0, 19), &stats(1000, 0, 0)), None);
        let halt = halt_reason(&stats(20, 0, 20), &stats(1000, 0, 0)).expect("a reason");
        assert_eq!(halt.to_string(), "faults in 100.0 % of 20 results, the active release 0.0 %; 5 points are allowed");
    }

    #[test]
    fn a_canary_may_be_a_little_worse_than_the_active_release() {
        // One fault of twenty is exactly five points.
        assert_eq!(halt_reason(&stats(20, 0, 1), &stats(100, 0, 0)), None);
        assert!(halt_reason(&stats(20, 0, 2), &stats(100, 0, 0)).is_some());
        assert_eq!(halt_reason(&stats(20, 0, 2), &stats(100, 0, 5)), None, "both have their share of bad files");
        assert_eq!(halt_reason(&stats(20, 2, 0), &stats(100, 0, 0)), None);
        let halt = halt_reason(&stats(20, 3, 0), &stats(100, 1, 0)).expect("a reason");
        assert!(halt.to_string().starts_with("rejections in 15.0 % of 20 results, the active release 1.0 %"), "{halt}");
        assert!(halt_reason(&stats(20, 3, 0), &ReleaseStats::default()).is_some(), "nothing to compare with");
    }
}
