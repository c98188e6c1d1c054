//! When a job runs again: pure arithmetic over what was configured and what the other side asked for.

use std::time::Duration;

use crate::code::Class;

/// The times between attempts. Source of the defaults: docs/adr/0003-retry-policy-and-hold.md.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Waits before attempts 2, 3, 4, …; the last one serves every later attempt.
    pub backoff: Vec<Duration>,
    /// Each wait is spread by this share to either side, so that a burst of failures does not come back as one.
    pub jitter: f64,
    /// No `Retry-After` keeps a job waiting longer than this.
    pub retry_after_cap: Duration,
    /// How long a held job waits before it looks again.
    pub hold: Duration,
    /// How often a job may be snoozed before a rate limit uses up attempts.
    pub max_snoozes: i32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            backoff: [30, 120, 480].map(Duration::from_secs).to_vec(),
            jitter: 0.2,
            retry_after_cap: Duration::from_secs(3600),
            hold: Duration::from_secs(60),
            max_snoozes: 20,
        }
    }
}

/// What becomes of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// The job ends.
    Fail,
    /// The job waits; the attempt is spent.
    Retry(Duration),
    /// The job waits; the attempt is given back and a snooze counted.
    Snooze(Duration),
    /// The job waits; the attempt is given back and nothing counted.
    Hold(Duration),
}

/// How far a job has come.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    /// Attempts begun, this one included.
    pub attempts: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Snoozes so far.
    pub snoozes: i32,
}

impl RetryPolicy {
    /// Decides what becomes of an attempt that failed with `class`.
    ///
    /// `retry_after` is what the other side asked for; `dice` is uniform in 0..1.
    pub fn decide(&self, class: Class, tries: Tries, retry_after: Option<Duration>, dice: f64) -> RetryDecision {
        let floor = retry_after.unwrap_or_default().min(self.retry_after_cap);
        match class {
            Class::Fail => RetryDecision::Fail,
            Class::Hold => RetryDecision::Hold(self.above(self.hold, floor, dice)),
            Class::Snooze if tries.snoozes < self.max_snoozes => {
                RetryDecision::Snooze(self.above(self.wait_before(tries.snoozes + 2), floor, dice))
            }
            Class::Retry | Class::Snooze if tries.attempts < tries.max_attempts => {
                RetryDecision::Retry(self.above(self.wait_before(tries.attempts + 1), floor, dice))
            }
            Class::Retry | Class::Snooze => RetryDecision::Fail,
        }
    }

    /// The wait before attempt `n` (2 is the first that waits).
    fn wait_before(&self, n: i32) -> Duration {
        let last = self.backoff.len().saturating_sub(1);
        let index = usize::try_from(n - 2).unwrap_or(0).min(last);
        self.backoff.get(index).copied().unwrap_or_default()
    }

    /// Spreads a wait; a floor is spread upwards only, or a crowd told to wait 60 s would come back in the same second.
    fn above(&self, wait: Duration, floor: Duration, dice: f64) -> Duration {
        let spread = wait.mul_f64(1.0 + self.jitter * (2.0 * dice - 1.0));
        spread.max(floor.mul_f64(1.0 + self.jitter * dice))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Tries = Tries { attempts: 1, max_attempts: 4, snoozes: 0 };

    fn seconds(verdict: RetryDecision) -> f64 {
        match verdict {
            RetryDecision::Retry(wait) | RetryDecision::Snooze(wait) | RetryDecision::Hold(wait) => wait.as_secs_f64(),
            RetryDecision::Fail => panic!("the job ended"),
        }
    }

    #[test]
    fn attempts_wait_thirty_seconds_then_two_minutes_then_eight() {
        let policy = RetryPolicy::default();
        for (attempts, expected) in [(1, 30), (2, 120), (3, 480)] {
            let tries = Tries { attempts, ..FIRST };
            assert_eq!(
                policy.decide(Class::Retry, tries, None, 0.5),
                RetryDecision::Retry(Duration::from_secs(expected))
            );
        }
        let last = Tries { attempts: 4, ..FIRST };
        assert_eq!(policy.decide(Class::Retry, last, None, 0.5), RetryDecision::Fail);
    }

    #[test]
    fn a_rate_limit_uses_attempts_only_after_its_snoozes() {
        let policy = RetryPolicy::default();
        assert!(matches!(policy.decide(Class::Snooze, FIRST, None, 0.0), RetryDecision::Snooze(_)));
        let spent = Tries { snoozes: 20, ..FIRST };
        assert!(matches!(policy.decide(Class::Snooze, spent, None, 0.0), RetryDecision::Retry(_)));
        let over = Tries { attempts: 4, ..spent };
        assert_eq!(policy.decide(Class::Snooze, over, None, 0.0), RetryDecision::Fail);
    }

    #[test]
    fn a_held_job_never_ends() {
        let spent = Tries { attempts: 4, max_attempts: 4, snoozes: 20 };
        assert!(matches!(RetryPolicy::default().decide(Class::Hold, spent, None, 0.0), RetryDecision::Hold(_)));
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_a_fifth_of_its_schedule(dice in 0.0..1.0f64) {
            let wait = seconds(RetryPolicy::default().decide(Class::Retry, FIRST, None, dice));
            prop_assert!((24.0..=36.0).contains(&wait));
        }

        #[test]
        fn retry_after_is_a_floor_and_an_hour_its_cap(asked in 0u64..1_000_000, dice in 0.0..1.0f64) {
            let asked = Duration::from_secs(asked);
            let wait = seconds(RetryPolicy::default().decide(Class::Snooze, FIRST, Some(asked), dice));
            prop_assert!(wait >= asked.min(Duration::from_secs(3600)).as_secs_f64() - 1e-6);
            prop_assert!(wait <= 3600.0 * 1.2 + 1e-6);
        }
    }
}
