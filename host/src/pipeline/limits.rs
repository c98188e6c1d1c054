//! What the pipeline itself holds a job to.

use assay_runtime::Prompt;

use crate::{
    error::{Code, JobError},
    guests::{GuestsLimits, JobLimits},
    retry::RetryPolicy,
    variables::Variables,
};

use std::time::Duration;

/// Limits and waits of every job.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Bytes of an original.
    pub transcript_bytes: usize,
    /// Waits between attempts.
    pub retry: RetryPolicy,
    /// How long an answer is tried to be journaled: no longer than its claim can last without a beat.
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
            vars.fault("JOB_BACKOFF_MS", format!("is {text:?}, but must be milliseconds, separated by commas"));
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

/// Holds a round of questions to the limits of a job.
///
/// # Errors
/// `guest_limit_exceeded`, with the limit and what was asked.
pub fn check_prompts(prompts: &[Prompt], before: usize, limits: &GuestsLimits) -> Result<(), JobError> {
    let refuse = |message: String| Err(JobError::new(Code::GuestLimitExceeded, message));
    if prompts.is_empty() {
        return refuse("ask the model: the guest asks nothing".to_owned());
    }
    let limits = &limits.job;
    if before + prompts.len() > limits.prompts {
        return refuse(format!("ask the model: more than {} questions (GUEST_MAX_PROMPTS)", limits.prompts));
    }
    let over = prompts.iter().map(Prompt::bytes).find(|bytes| *bytes > limits.prompt_bytes);
    if let Some(bytes) = over {
        return refuse(format!(
            "ask the model: a question of {bytes} bytes, over {} (PROMPT_MAX_BYTES)",
            limits.prompt_bytes
        ));
    }
    Ok(())
}

/// The first half of the second check: a report is JSON with one reading only, not too large and not too deep.
///
/// # Errors
/// `report_invalid`, with the rule that the report breaks.
pub fn check_report(document: &str, limits: &JobLimits) -> Result<(), JobError> {
    let refuse = |fault| JobError::new(Code::ReportInvalid, format!("check the report: {fault}"));
    limits.check_report(document).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::JobLimits;

    #[test]
    fn a_report_that_names_a_member_twice_is_refused() {
        let error = check_report(r#"{"a":1,"a":2}"#, &JobLimits::default()).unwrap_err();
        assert_eq!(error.code, Code::ReportInvalid);
        assert_eq!(error.message, "check the report: a name for the second time in one object at line 1, column 10");
    }

    #[test]
    fn a_guest_that_asks_nothing_or_too_much_is_refused() {
        let prompt = |text: &str| Prompt {
            messages: vec![assay_runtime::Message { role: "user".to_owned(), content: text.into() }],
            answer_schema: None,
            model: None,
            max_output_tokens: None,
            temperature: None,
        };
        let limits = GuestsLimits {
            job: JobLimits { prompts: 2, prompt_bytes: 10, ..JobLimits::default() },
            ..GuestsLimits::default()
        };
        assert!(check_prompts(&[], 0, &limits).is_err());
        assert!(check_prompts(&[prompt("hi")], 1, &limits).is_ok());
        assert!(check_prompts(&[prompt("hi")], 2, &limits).is_err());
        assert!(check_prompts(&[prompt("far too long")], 0, &limits).is_err());
    }
}
