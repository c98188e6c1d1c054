//! What a release has cost and come to, and when a canary has shown enough to be halted: plain data and one pure rule.

use std::fmt;

use serde::Serialize;

/// Results that a canary has to show before it is judged; source: the design of the canary, docs/adr/0013.
pub const MIN_SAMPLE: i64 = 20;
/// How many points of faults more than the active release's a canary may have.
pub const FAULT_POINTS: f64 = 5.0;
/// How many points of rejections more than the active release's a canary may have.
pub const REJECTION_POINTS: f64 = 10.0;

/// What the attempts on a release came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReleaseStats {
    /// Jobs that ended on it, with a report or without.
    pub jobs: i64,
    /// Jobs that say something of the release: it made a report, rejected the answers, or was at fault in an attempt.
    pub results: i64,
    /// Of them: answers that the guest rejected.
    pub rejections: i64,
    /// Of them: what the guest, or the model at its question, did wrong.
    pub faults: i64,
    /// Attempts after which the job had to wait for another one.
    pub retries: i64,
    /// Tokens of its questions.
    pub tokens_in: i64,
    /// Tokens of the answers.
    pub tokens_out: i64,
    /// Time in the sandbox, in microseconds.
    pub guest_micros: i64,
}

impl ReleaseStats {
    /// Rejections per result, in percent.
    pub fn rejection_percent(&self) -> f64 {
        percent(self.rejections, self.results)
    }

    /// Faults per result, in percent.
    pub fn fault_percent(&self) -> f64 {
        percent(self.faults, self.results)
    }
}

fn percent(part: i64, of: i64) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * part as f64 / of as f64 }
}

/// Why a canary is halted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Halt {
    /// What there is too much of.
    what: &'static str,
    canary: f64,
    active: f64,
    results: i64,
    points: f64,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, canary, active, results, points } = self;
        write!(
            f,
            "{what} in {canary:.1} % of {results} results, the active release {active:.1} %; {points} points are allowed"
        )
    }
}

/// Judges a canary by its figures and those of the active release since it began; none as long as it may go on. An active release
/// that has no results yet counts as one without faults.
pub fn judge(canary: &ReleaseStats, active: &ReleaseStats) -> Option<Halt> {
    if canary.results < MIN_SAMPLE {
        return None;
    }
    let rules = [
        ("faults", canary.fault_percent(), active.fault_percent(), FAULT_POINTS),
        ("rejections", canary.rejection_percent(), active.rejection_percent(), REJECTION_POINTS),
    ];
    rules
        .into_iter()
        .find(|(_, canary, active, points)| canary - active > *points)
        .map(|(what, percent, active, points)| Halt { what, canary: percent, active, results: canary.results, points })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(results: i64, rejections: i64, faults: i64) -> ReleaseStats {
        ReleaseStats { jobs: results, results, rejections, faults, ..ReleaseStats::default() }
    }

    #[test]
    fn a_canary_is_judged_by_twenty_results_and_not_by_fewer() {
        assert_eq!(judge(&figures(19, 0, 19), &figures(1000, 0, 0)), None);
        let halt = judge(&figures(20, 0, 20), &figures(1000, 0, 0)).expect("a reason");
        assert_eq!(halt.to_string(), "faults in 100.0 % of 20 results, the active release 0.0 %; 5 points are allowed");
    }

    #[test]
    fn a_canary_may_be_a_little_worse_than_the_active_release() {
        // One fault of twenty is exactly five points.
        assert_eq!(judge(&figures(20, 0, 1), &figures(100, 0, 0)), None);
        assert!(judge(&figures(20, 0, 2), &figures(100, 0, 0)).is_some());
        assert_eq!(judge(&figures(20, 0, 2), &figures(100, 0, 5)), None, "both have their share of bad files");
        assert_eq!(judge(&figures(20, 2, 0), &figures(100, 0, 0)), None);
        let halt = judge(&figures(20, 3, 0), &figures(100, 1, 0)).expect("a reason");
        assert!(halt.to_string().starts_with("rejections in 15.0 % of 20 results, the active release 1.0 %"), "{halt}");
        assert!(judge(&figures(20, 3, 0), &ReleaseStats::default()).is_some(), "nothing to compare with");
    }
}
