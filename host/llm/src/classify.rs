//! Maps statuses and error codes of providers to codes.
//!
//! Providers share OpenAI's envelope and little else, so a known error code decides before the status. Codes are compared
//! in lower case. Texts are not read.

use assay_core::code::Code;

/// Returns the code for a response without a completion.
///
/// `tokens` are the provider's words for the error, most specific first: `code`, then `type`.
pub fn classify(status: u16, tokens: &[&str]) -> Code {
    tokens.iter().find_map(|token| by_token(token)).unwrap_or_else(|| by_status(status))
}

/// Returns whether an error's word has a code of its own, so that it is shown.
pub(crate) fn is_known_word(word: &str) -> bool {
    by_token(word).is_some()
}

/// Applies the provider's `x-should-retry`, which decides before the status.
///
/// It only moves between "fail" and "retry". A rate limit already waits as long as asked, and a held job needs the
/// operator.
pub(crate) fn apply_should_retry(code: Code, should_retry: Option<bool>) -> Code {
    match (should_retry, code) {
        // A 4xx without a known code that the provider calls temporary.
        (Some(true), Code::LlmRequestRejected) => Code::LlmProvider5xx,
        // A 409 or 5xx that the provider calls permanent for this request.
        (Some(false), Code::LlmConflict | Code::LlmProvider5xx) => Code::LlmRequestRejected,
        _ => code,
    }
}

fn by_token(token: &str) -> Option<Code> {
    Some(match token {
        // OpenAI sends these with 429, otherwise a rate limit. Waiting does not refill an account.
        "insufficient_quota"
        | "credit_balance_exhausted"
        | "organization_spend_limit_exceeded"
        | "project_spend_limit_exceeded"
        | "organization_usage_limit_exceeded"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "insufficient_balance" => Code::LlmQuotaExhausted,
        // Anthropic's type, with 402.
        "billing_error" => Code::LlmQuotaExhausted,

        // OpenAI; vLLM and llama-cpp-python use the same word. A 400 there, a rejected request otherwise.
        "context_length_exceeded" | "string_above_max_length" => Code::LlmContextTooLong,
        // llama-server, and Anthropic's 413.
        "exceed_context_size_error" | "request_too_large" => Code::LlmContextTooLong,

        // OpenAI with 404, some compatible servers with 400; Azure names deployments.
        "model_not_found" | "deploymentnotfound" | "model_not_available" => Code::LlmModelNotFound,

        "invalid_api_key"
        | "authentication_error"
        | "permission_error"
        | "account_deactivated"
        | "unsupported_country_region_territory" => Code::LlmAuthFailed,

        // Also inside a 200, without a useful status. RESOURCE_EXHAUSTED is Gemini's.
        "rate_limit_exceeded" | "rate_limit_error" | "slow_down" | "resource_exhausted" => Code::LlmRateLimited,

        // Anthropic's, also inside a 200. It lasts minutes and names no wait, so it counts as an outage.
        "overloaded_error" | "overloaded" | "engine_overloaded" => Code::LlmProvider5xx,
        // Inside a 200, or beside a 5xx.
        "server_error"
        | "api_error"
        | "internal_server_error"
        | "internal_error"
        | "service_unavailable"
        | "service_unavailable_error"
        | "timeout_error" => Code::LlmProvider5xx,

        // Azure refuses the prompt itself with a 400.
        "content_filter" | "content_policy_violation" => Code::LlmContentFiltered,

        // Groq: a 400 instead of a generation that is not JSON. The next generation may be JSON.
        "json_validate_failed" => Code::LlmBadEnvelope,
        _ => return None,
    })
}

fn by_status(status: u16) -> Code {
    match status {
        // Below 200: no final response has such a status. 2xx: a success without a completion.
        0..=299 => Code::LlmBadEnvelope,
        // Redirects are not followed, because they would take the key along: LLM_BASE_URL is wrong.
        300..=399 => Code::LlmModelNotFound,
        401 | 403 | 407 => Code::LlmAuthFailed,
        402 => Code::LlmQuotaExhausted,
        // No such model or path: LLM_MODEL or LLM_BASE_URL is wrong.
        404 | 405 | 410 => Code::LlmModelNotFound,
        408 => Code::LlmTimeout,
        409 => Code::LlmConflict,
        413 => Code::LlmContextTooLong,
        425 | 429 => Code::LlmRateLimited,
        400..=499 => Code::LlmRequestRejected,
        // Also 504 and 529: the provider or a gateway is overloaded.
        _ => Code::LlmProvider5xx,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_http_status_of_the_model_has_one_class() {
        let mut rows = Vec::new();
        for status in 100..=599 {
            let code = classify(status, &[]);
            match rows.last_mut() {
                Some((_, last, known)) if *known == code => *last = status,
                _ => rows.push((status, status, code)),
            }
        }
        let table: Vec<_> =
            rows.iter().map(|(first, last, code)| format!("{first}-{last} {code} {}", code.class().as_str())).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn a_known_code_decides_before_the_status() {
        assert_eq!(classify(429, &["insufficient_quota"]), Code::LlmQuotaExhausted);
        assert_eq!(classify(429, &["rate_limit_exceeded", "tokens"]), Code::LlmRateLimited);
        assert_eq!(classify(400, &["context_length_exceeded", "invalid_request_error"]), Code::LlmContextTooLong);
        assert_eq!(classify(200, &["server_error"]), Code::LlmProvider5xx);
        assert_eq!(classify(400, &["invalid_request_error"]), Code::LlmRequestRejected);
    }

    #[test]
    fn quota_codes_are_held_with_any_status() {
        for token in ["insufficient_quota", "project_spend_limit_exceeded", "billing_error"] {
            for status in [200, 400, 402, 403, 429] {
                assert_eq!(classify(status, &["something_new", token]), Code::LlmQuotaExhausted);
            }
        }
    }

    #[test]
    fn should_retry_only_moves_between_fail_and_retry() {
        assert_eq!(apply_should_retry(Code::LlmRequestRejected, Some(true)), Code::LlmProvider5xx);
        assert_eq!(apply_should_retry(Code::LlmProvider5xx, Some(false)), Code::LlmRequestRejected);
        for code in [Code::LlmRateLimited, Code::LlmQuotaExhausted, Code::LlmAuthFailed, Code::LlmContextTooLong] {
            assert_eq!(apply_should_retry(code, Some(true)), code);
            assert_eq!(apply_should_retry(code, Some(false)), code);
        }
        assert_eq!(apply_should_retry(Code::LlmProvider5xx, None), Code::LlmProvider5xx);
    }
}
