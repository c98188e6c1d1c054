//! What a provider's refusal means: the one table from statuses and error codes to ours.
//!
//! Providers share OpenAI's envelope and little else, so a known code goes before the status. Codes are compared in
//! lower case; the texts beside them are never looked at here.

use assay_core::code::Code;

/// The meaning of a response that holds no completion.
///
/// `tokens` are the provider's words for the error, most specific first: its `code`, then its `type`.
pub fn classify(status: u16, tokens: &[&str]) -> Code {
    tokens.iter().find_map(|token| by_token(token)).unwrap_or_else(|| by_status(status))
}

/// Applies the provider's `x-should-retry`, which goes before the status: it knows its own errors.
///
/// Only between "this can never work" and "try again": a rate limit already waits as long as asked, and what is held is
/// the operator's to cure, whatever a client library should do.
pub(super) fn obey(code: Code, should_retry: Option<bool>) -> Code {
    match (should_retry, code) {
        // A 4xx without a meaning of its own that the provider calls temporary.
        (Some(true), Code::LlmRequestRejected) => Code::LlmProvider5xx,
        // A 409 or 5xx that the provider knows will come again for the same request.
        (Some(false), Code::LlmConflict | Code::LlmProvider5xx) => Code::LlmRequestRejected,
        _ => code,
    }
}

fn by_token(token: &str) -> Option<Code> {
    Some(match token {
        // OpenAI sends these with 429, which is a rate limit otherwise: no waiting refills an account.
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

        // Also inside a 200, where there is no status to go by. RESOURCE_EXHAUSTED is Gemini's.
        "rate_limit_exceeded" | "rate_limit_error" | "slow_down" | "resource_exhausted" => Code::LlmRateLimited,

        // Anthropic's, also inside a 200: lasts minutes and names no wait, so it is an outage and not a rate limit.
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

        // Groq: a 400 that withholds a generation which is not JSON. Another generation may be.
        "json_validate_failed" => Code::LlmBadEnvelope,
        _ => return None,
    })
}

fn by_status(status: u16) -> Code {
    match status {
        // No final response has such a status; a success without a completion is an envelope that cannot be read.
        0..=299 => Code::LlmBadEnvelope,
        // Nothing is redirected, because the key would go along: LLM_BASE_URL points to the wrong place.
        300..=399 => Code::LlmModelNotFound,
        401 | 403 | 407 => Code::LlmAuthFailed,
        402 => Code::LlmQuotaExhausted,
        // No such model, or no such path: LLM_MODEL or LLM_BASE_URL is wrong, and no file is to blame.
        404 | 405 | 410 => Code::LlmModelNotFound,
        408 => Code::LlmTimeout,
        409 => Code::LlmConflict,
        413 => Code::LlmContextTooLong,
        425 | 429 => Code::LlmRateLimited,
        400..=499 => Code::LlmRequestRejected,
        // 504 and 529 too: the provider or something before it gave up or is overloaded.
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
    fn a_known_code_goes_before_the_status() {
        assert_eq!(classify(429, &["insufficient_quota"]), Code::LlmQuotaExhausted);
        assert_eq!(classify(429, &["rate_limit_exceeded", "tokens"]), Code::LlmRateLimited);
        assert_eq!(classify(400, &["context_length_exceeded", "invalid_request_error"]), Code::LlmContextTooLong);
        assert_eq!(classify(200, &["server_error"]), Code::LlmProvider5xx);
        assert_eq!(classify(400, &["invalid_request_error"]), Code::LlmRequestRejected);
    }

    #[test]
    fn the_quota_family_is_held_whatever_its_status() {
        for token in ["insufficient_quota", "project_spend_limit_exceeded", "billing_error"] {
            for status in [200, 400, 402, 403, 429] {
                assert_eq!(classify(status, &["something_new", token]), Code::LlmQuotaExhausted);
            }
        }
    }

    #[test]
    fn should_retry_moves_only_between_never_and_again() {
        assert_eq!(obey(Code::LlmRequestRejected, Some(true)), Code::LlmProvider5xx);
        assert_eq!(obey(Code::LlmProvider5xx, Some(false)), Code::LlmRequestRejected);
        for code in [Code::LlmRateLimited, Code::LlmQuotaExhausted, Code::LlmAuthFailed, Code::LlmContextTooLong] {
            assert_eq!(obey(code, Some(true)), code);
            assert_eq!(obey(code, Some(false)), code);
        }
        assert_eq!(obey(Code::LlmProvider5xx, None), Code::LlmProvider5xx);
    }
}
