//! Limits and waits of a job.

use std::time::Duration;

use assay_core::{env::Variables, retry::RetryPolicy};

/// Limits and waits of every job.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Largest original, in bytes.
    pub transcript_bytes: usize,
    /// Waits between attempts.
    pub retry: RetryPolicy,
    /// Longest time to retry a journal write: a claim lasts no longer without a heartbeat.
    pub journal_patience: Duration,
}

impl PipelineConfig {
    /// Declares and reads the variables of the pipeline.
    pub fn load(vars: &mut Variables) -> Self {
        let retry = RetryPolicy::default();
        let default: Vec<_> = retry.backoff.iter().map(|wait| wait.as_millis().to_string()).collect();
        let text = vars.text("JOB_BACKOFF_MS", &default.join(","), "waits before attempts 2, 3, 4 and later, ms");
        let backoff: Option<Vec<_>> =
            text.split(',').map(|wait| wait.trim().parse().ok().map(Duration::from_millis)).collect();
        if backoff.is_none() {
            vars.invalid("JOB_BACKOFF_MS", &text, "expected milliseconds, separated by commas");
        }
        Self {
            transcript_bytes: vars.number("TRANSCRIPT_MAX_BYTES", 10 << 20, 1..=1 << 30, "size of an original"),
            journal_patience: Duration::from_secs(20),
            retry: RetryPolicy {
                backoff: backoff.unwrap_or_default(),
                hold: vars.millis("JOB_HOLD_MS", retry.hold, "wait of a job that is held for the operator, ms"),
                retry_after_cap: vars.millis(
                    "RETRY_AFTER_CAP_MS",
                    retry.retry_after_cap,
                    "the longest Retry-After that is obeyed, ms",
                ),
                max_snoozes: vars.number(
                    "JOB_MAX_SNOOZES",
                    retry.max_snoozes,
                    0..=10_000,
                    "rate limits per job before they use attempts",
                ),
                ..retry
            },
        }
    }
}
