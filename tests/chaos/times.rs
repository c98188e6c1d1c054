//! All times of a run: the product's own variables, scaled so that what takes a lease takes seconds.

use std::time::Duration;

/// What a run waits for and what its workers wait for.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// `WORKER_LEASE_MS`; whole seconds.
    pub lease: Duration,
    /// `WORKER_BEAT_MS`.
    pub beat: Duration,
    /// `REAPER_EVERY_MS`.
    pub reap: Duration,
    /// `WORKER_POLL_MS`.
    pub poll: Duration,
    /// `JOB_BACKOFF_MS`: the first wait; the others are two and four times as long.
    pub backoff: Duration,
    /// `JOB_HOLD_MS`.
    pub hold: Duration,
    /// `RETRY_AFTER_CAP_MS`.
    pub retry_after_cap: Duration,
    /// `BREAKER_PROBE_MS`.
    pub probe: Duration,
    /// `LLM_IDLE_TIMEOUT_MS`.
    pub llm_idle: Duration,
    /// `LLM_TIMEOUT_MS`.
    pub llm: Duration,
    /// `S3_OPERATION_TIMEOUT_MS`.
    pub s3: Duration,
    /// `DATABASE_TIMEOUT_MS`.
    pub database: Duration,
    /// `STOP_GRACE_MS`.
    pub grace: Duration,
    /// The longest that the stand-in takes for an answer when nothing is wrong with it.
    pub answer: Duration,
    /// Between two blows of a scenario that strikes regularly.
    pub blow: Duration,
    /// The longest until a dead worker's job runs again, where another worker has a free slot. None where times are no verdict, as
    /// among the tests.
    pub rescue: Option<Duration>,
    /// The longest until a job ends after a failover. None as above.
    pub flow: Option<Duration>,
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Times {
    /// A run that a person looks at, or a nightly job.
    pub const LONG: Self = Self {
        lease: ms(6000),
        beat: ms(1500),
        reap: ms(1000),
        poll: ms(200),
        backoff: ms(500),
        hold: ms(1000),
        retry_after_cap: ms(2000),
        probe: ms(300),
        llm_idle: ms(2000),
        llm: ms(6000),
        s3: ms(3000),
        database: ms(3000),
        grace: ms(9000),
        answer: ms(1500),
        blow: ms(2000),
        // A third of the lease, as with the product's own, and what a machine takes that plays seven scenarios.
        rescue: Some(ms(10_000)),
        flow: Some(ms(5000)),
    };

    /// A run among the tests.
    pub const SHORT: Self = Self {
        lease: ms(2000),
        beat: ms(500),
        reap: ms(300),
        poll: ms(100),
        backoff: ms(200),
        hold: ms(400),
        retry_after_cap: ms(700),
        probe: ms(150),
        llm_idle: ms(800),
        llm: ms(2000),
        s3: ms(1200),
        database: ms(1200),
        grace: ms(4000),
        answer: ms(600),
        blow: ms(1000),
        rescue: None,
        flow: None,
    };

    /// The product's defaults. Only the grace is shorter: it follows the patience with the model.
    pub const REAL: Self = Self {
        lease: ms(30_000),
        beat: ms(8000),
        reap: ms(5000),
        poll: ms(1000),
        backoff: ms(30_000),
        hold: ms(60_000),
        retry_after_cap: ms(3_600_000),
        probe: ms(30_000),
        llm_idle: ms(60_000),
        llm: ms(180_000),
        s3: ms(30_000),
        database: ms(10_000),
        grace: ms(30_000),
        answer: ms(8000),
        blow: ms(2000),
        rescue: Some(ms(40_000)),
        flow: Some(ms(5000)),
    };

    /// Returns the variables of a worker.
    pub fn variables(&self) -> [(&'static str, String); 14] {
        let millis = |time: Duration| time.as_millis().to_string();
        let backoff = [1, 2, 4].map(|factor| millis(self.backoff * factor)).join(",");
        [
            ("WORKER_LEASE_MS", millis(self.lease)),
            ("WORKER_BEAT_MS", millis(self.beat)),
            ("REAPER_EVERY_MS", millis(self.reap)),
            ("WORKER_POLL_MS", millis(self.poll)),
            ("JOB_BACKOFF_MS", backoff),
            ("JOB_HOLD_MS", millis(self.hold)),
            ("RETRY_AFTER_CAP_MS", millis(self.retry_after_cap)),
            ("BREAKER_PROBE_MS", millis(self.probe)),
            ("LLM_CONNECT_TIMEOUT_MS", millis(self.llm_idle)),
            ("LLM_IDLE_TIMEOUT_MS", millis(self.llm_idle)),
            ("LLM_TIMEOUT_MS", millis(self.llm)),
            ("S3_OPERATION_TIMEOUT_MS", millis(self.s3)),
            ("DATABASE_TIMEOUT_MS", millis(self.database)),
            ("STOP_GRACE_MS", millis(self.grace)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lease_is_whole_seconds_and_has_room_for_three_beats() {
        for times in [Times::LONG, Times::SHORT, Times::REAL] {
            assert_eq!(times.lease.subsec_nanos(), 0);
            assert!(times.beat * 3 <= times.lease);
        }
    }
}
