//! When a job runs again.

use std::time::Duration;

use crate::code::Class;

/// The waits between attempts. docs/adr/0003-retry-policy-and-hold.md explains the defaults.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Waits before attempts 2, 3, 4 and so on. The last wait repeats.
    pub backoff: Vec<Duration>,
    /// Each wait varies by up to this share, so that jobs that failed together do not run again together.
    pub jitter: f64,
    /// The longest wait that a `Retry-After` can cause, before jitter.
    pub retry_after_cap: Duration,
    /// How long a held job waits.
    pub hold: Duration,
    /// Snoozes of a job before a rate limit uses attempts.
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

/// What happens to a job after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// The job ends.
    Fail,
    /// The job waits; the attempt is used.
    Retry(Duration),
    /// The job waits; the attempt is given back and a snooze counted.
    Snooze(Duration),
    /// The job waits; the attempt is given back.
    Hold(Duration),
}

/// Attempts and snoozes of a job.
#[derive(Clone, Copy, Debug)]
pub struct AttemptCounts {
    /// Attempts begun, this one included.
    pub attempts: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Snoozes so far.
    pub snoozes: i32,
}

impl RetryPolicy {
    /// Decides what happens to a job whose attempt failed with `class`.
    ///
    /// `retry_after` is the wait that the dependency asked for. `random` is uniform in 0..1.
    pub fn decide(
        &self,
        class: Class,
        counts: AttemptCounts,
        retry_after: Option<Duration>,
        random: f64,
    ) -> RetryDecision {
        let floor = retry_after.unwrap_or_default().min(self.retry_after_cap);
        match class {
            Class::Fail => RetryDecision::Fail,
            Class::Hold => RetryDecision::Hold(self.with_jitter(self.hold, floor, random)),
            Class::Snooze if counts.snoozes < self.max_snoozes => {
                RetryDecision::Snooze(self.with_jitter(self.wait_before(counts.snoozes + 2), floor, random))
            }
            Class::Retry | Class::Snooze if counts.attempts < counts.max_attempts => {
                RetryDecision::Retry(self.with_jitter(self.wait_before(counts.attempts + 1), floor, random))
            }
            Class::Retry | Class::Snooze => RetryDecision::Fail,
        }
    }

    /// Returns the wait of a held job. `random` is uniform in 0..1.
    pub fn hold_wait(&self, random: f64) -> Duration {
        self.with_jitter(self.hold, Duration::ZERO, random)
    }

    /// Returns the wait before attempt `n`, where 2 is the first attempt that waits.
    fn wait_before(&self, n: i32) -> Duration {
        let last = self.backoff.len().saturating_sub(1);
        let index = usize::try_from(n - 2).unwrap_or(0).min(last);
        self.backoff.get(index).copied().unwrap_or_default()
    }

    /// Adds jitter to a wait. The floor is only raised: it must not be undercut, and jobs must not all return at once.
    fn with_jitter(&self, wait: Duration, floor: Duration, random: f64) -> Duration {
        let spread = wait.mul_f64(1.0 + self.jitter * (2.0 * random - 1.0));
        spread.max(floor.mul_f64(1.0 + self.jitter * random))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: AttemptCounts = AttemptCounts { attempts: 1, max_attempts: 4, snoozes: 0 };

    fn seconds(decision: RetryDecision) -> f64 {
        match decision {
            RetryDecision::Retry(wait) | RetryDecision::Snooze(wait) | RetryDecision::Hold(wait) => wait.as_secs_f64(),
            RetryDecision::Fail => panic!("the job ended"),
        }
    }

    #[test]
    fn attempts_wait_thirty_seconds_then_two_minutes_then_eight() {
        let policy = RetryPolicy::default();
        for (attempts, expected) in [(1, 30), (2, 120), (3, 480)] {
            let counts = AttemptCounts { attempts, ..FIRST };
            assert_eq!(
                policy.decide(Class::Retry, counts, None, 0.5),
                RetryDecision::Retry(Duration::from_secs(expected))
            );
        }
        let last = AttemptCounts { attempts: 4, ..FIRST };
        assert_eq!(policy.decide(Class::Retry, last, None, 0.5), RetryDecision::Fail);
    }

    #[test]
    fn a_rate_limit_uses_attempts_only_after_its_snoozes() {
        let policy = RetryPolicy::default();
        assert!(matches!(policy.decide(Class::Snooze, FIRST, None, 0.0), RetryDecision::Snooze(_)));
        let spent = AttemptCounts { snoozes: 20, ..FIRST };
        assert!(matches!(policy.decide(Class::Snooze, spent, None, 0.0), RetryDecision::Retry(_)));
        let over = AttemptCounts { attempts: 4, ..spent };
        assert_eq!(policy.decide(Class::Snooze, over, None, 0.0), RetryDecision::Fail);
    }

    #[test]
    fn a_held_job_never_ends() {
        let spent = AttemptCounts { attempts: 4, max_attempts: 4, snoozes: 20 };
        assert!(matches!(RetryPolicy::default().decide(Class::Hold, spent, None, 0.0), RetryDecision::Hold(_)));
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_a_fifth_of_its_schedule(random in 0.0..1.0f64) {
            let wait = seconds(RetryPolicy::default().decide(Class::Retry, FIRST, None, random));
            prop_assert!((24.0..=36.0).contains(&wait));
        }

        #[test]
        fn retry_after_is_a_floor_and_an_hour_its_cap(asked in 0u64..1_000_000, random in 0.0..1.0f64) {
            let asked = Duration::from_secs(asked);
            let wait = seconds(RetryPolicy::default().decide(Class::Snooze, FIRST, Some(asked), random));
            prop_assert!(wait >= asked.min(Duration::from_secs(3600)).as_secs_f64() - 1e-6);
            prop_assert!(wait <= 3600.0 * 1.2 + 1e-6);
        }
    }
}
