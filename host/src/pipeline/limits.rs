//! What the pipeline itself holds a job to.

use assay_runtime::Prompt;

use crate::{
    error::{Code, JobError},
    guests::{GuestsLimits, JobLimits},
    pipeline::strict_json::{self, Loose},
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

<<<<<<< HEAD
/// The first half of the second check: a report is JSON, not too large and not too deep.
=======
fn prompt_bytes(prompt: &Prompt) -> usize {
    let messages: usize = prompt.messages.iter().map(|message| message.role.len() + message.content.len()).sum();
    messages + prompt.answer_schema.as_deref().map_or(0, str::len)
}

/// The first half of the second check: a report is JSON with one reading only, not too large and not too deep.
>>>>>>> b0c7fed (Name a guest that does not load by its code, and refuse a report that has two readings)
///
/// # Errors
/// `report_invalid`, with the rule that the report breaks.
pub fn check_report(document: &str, limits: &JobLimits) -> Result<(), JobError> {
    let refuse = |message: String| Err(JobError::new(Code::ReportInvalid, message));
    if document.len() > limits.report_bytes {
        return refuse(format!(
            "check the report: {} bytes, over {} (REPORT_MAX_BYTES)",
            document.len(),
            limits.report_bytes
        ));
    }
    if depth(document) > limits.report_depth {
        return refuse(format!("check the report: nested deeper than {} (REPORT_MAX_DEPTH)", limits.report_depth));
    }
    match strict_json::read(document) {
        Ok(()) => Ok(()),
        Err(Loose::NotJson { line, column }) => {
            refuse(format!("check the report: no JSON at line {line}, column {column}"))
        }
        Err(Loose::NamedTwice { line, column }) => refuse(format!(
            "check the report: a name for the second time in one object at line {line}, column {column}"
        )),
    }
}

/// The deepest nesting of a JSON text, without building anything. For a text that is no JSON the number means nothing.
fn depth(document: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in document.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::JobLimits;

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        assert_eq!(depth(r#"{"a": [1, {"b": "[[[\"[["}]}"#), 3);
        assert_eq!(depth("7"), 0);
    }

    #[test]
    fn a_report_nested_a_million_deep_is_refused_without_parsing_it() {
        let document = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let error = check_report(&document, &JobLimits::default()).unwrap_err();
        assert_eq!(error.code, Code::ReportInvalid);
    }

    #[test]
    fn a_report_may_be_nested_128_deep() {
        // As deep as a verifier reads: host/runtime/tests/it/verifying.rs.
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let limits = JobLimits::default();
        for (levels, passes) in [(127, true), (128, true), (129, false)] {
            assert_eq!(check_report(&nested(levels), &limits).is_ok(), passes, "{levels}");
        }
    }

    #[test]
    fn a_report_that_names_a_member_twice_is_refused() {
        let error = check_report(r#"{"a":1,"a":2}"#, &JobLimits::default()).unwrap_err();
        assert_eq!(error.code, Code::ReportInvalid);
        assert_eq!(error.message, "check the report: a name for the second time in one object at line 1, column 10");
    }

    #[test]
    fn a_report_over_its_size_and_one_that_is_no_json_are_refused() {
        let limits = JobLimits { report_bytes: 4, ..JobLimits::default() };
        assert!(check_report("[1,2]", &limits).is_err());
        assert!(check_report("{", &limits).is_err());
        assert!(check_report("[1]", &limits).is_ok());
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
