//! Maps the errors of providers to codes, by their meaning.
//!
//! Providers say one thing with other statuses than OpenAI. So a known code or type decides first, then one of Google's
//! reasons, then the words of the text, and only then the status. An unknown error means what its status means. Providers'
//! words are compared and never shown.

mod tokens;
mod words;

use assay_core::code::Code;

use crate::provider_error::ProviderError;

/// Returns the code for a response without a completion.
pub(crate) fn classify(status: u16, error: &ProviderError) -> Code {
    if error.is_flagged() {
        return Code::LlmContentFiltered;
    }
    let text = error.unquoted_text();
    let tokens = error.tokens();
    let token = tokens.iter().find_map(|token| tokens::by_token(token).map(|code| (*token, code)));
    if let Some((token, code)) = token {
        // Such a token leaves the cause to the text.
        if !tokens::is_general(token) {
            return code;
        }
        let is_limit = code == Code::LlmRateLimited;
        if is_limit && (text.contains("request too large") || words::never_fits(&text)) {
            return Code::LlmContextTooLong;
        }
    }
    let by_reason = error.reasons.iter().find_map(|reason| tokens::by_reason(reason));
    // A wait that the provider names says that waiting helps.
    let is_wait = status == 429 && error.wait.is_some();
    let by_words = || words::by_words(status, &text).filter(|code| !(is_wait && *code == Code::LlmQuotaExhausted));
    by_reason
        .or_else(by_words)
        .or(token.map(|(_, code)| code))
        .or_else(|| (status == 429 && words::never_fits(&text)).then_some(Code::LlmContextTooLong))
        .unwrap_or_else(|| {
            if error.is_page && matches!(status, 403 | 406) { Code::LlmGatewayRefused } else { classify_status(status) }
        })
}

/// Returns whether an error's word has a code of its own, so that it is shown.
pub(crate) fn is_known_word(word: &str) -> bool {
    tokens::by_token(word).is_some()
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

/// Returns what a status means where the error says nothing.
pub fn classify_status(status: u16) -> Code {
    match status {
        // Below 200: no final response has such a status. 2xx: a success without a completion.
        0..=299 => Code::LlmBadEnvelope,
        // Redirects are not followed, because they would take the key along: LLM_BASE_URL is wrong.
        300..=399 => Code::LlmModelNotFound,
        401 | 403 | 407 => Code::LlmAuthFailed,
        // 412: the account cannot pay.
        402 | 412 => Code::LlmQuotaExhausted,
        // No such model or path: LLM_MODEL or LLM_BASE_URL is wrong.
        404 | 405 | 410 => Code::LlmModelNotFound,
        408 => Code::LlmTimeout,
        409 => Code::LlmConflict,
        413 => Code::LlmContextTooLong,
        // 498: Groq's flex tier.
        425 | 429 | 498 => Code::LlmRateLimited,
        // 424: Hugging Face, a generation that failed. 499: a gateway or Google, the call was cancelled.
        424 | 499 => Code::LlmProvider5xx,
        400..=499 => Code::LlmRequestRejected,
        // Also 504 and 529: the provider or a gateway is overloaded.
        _ => Code::LlmProvider5xx,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: u16, body: &serde_json::Value) -> Code {
        classify(status, &ProviderError::from_body(body))
    }

    fn said(status: u16, message: &str) -> Code {
        of(status, &json!({ "error": { "message": message, "type": "invalid_request_error" } }))
    }

    #[test]
    fn every_http_status_of_the_model_has_one_class() {
        let mut rows = Vec::new();
        for status in 100..=599 {
            let code = classify(status, &ProviderError::default());
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
        let coded = |status, code: &str, kind: &str| of(status, &json!({ "error": { "code": code, "type": kind } }));
        assert_eq!(coded(429, "insufficient_quota", ""), Code::LlmQuotaExhausted);
        assert_eq!(coded(429, "rate_limit_exceeded", "tokens"), Code::LlmRateLimited);
        assert_eq!(coded(400, "context_length_exceeded", "invalid_request_error"), Code::LlmContextTooLong);
        assert_eq!(coded(200, "server_error", ""), Code::LlmProvider5xx);
        assert_eq!(coded(400, "", "invalid_request_error"), Code::LlmRequestRejected);
        for token in ["insufficient_quota", "project_spend_limit_exceeded", "billing_error"] {
            for status in [200, 400, 402, 403, 429] {
                assert_eq!(coded(status, "something_new", token), Code::LlmQuotaExhausted);
            }
        }
    }

    #[test]
    fn an_account_that_cannot_pay_is_told_from_a_limit_and_from_a_document() {
        for (status, message) in [
            (400, "Your credit balance is too low to access the API."),
            (403, "Your team has used all available credits or reached its monthly spending limit."),
            (412, "Please make sure your account is in good standing."),
            (429, "You exceeded your current quota, please check your plan and billing details."),
            (500, "Insufficient balance"),
            (200, "insufficient balance"),
        ] {
            assert_eq!(said(status, message), Code::LlmQuotaExhausted, "{status} {message}");
        }
        for (status, message, code) in [
            (400, "Invalid value: 'our credit balance is too low'.", Code::LlmRequestRejected),
            (400, "Unexpected text \"the spending limit\" in messages", Code::LlmRequestRejected),
            (429, "Rate limit reached for requests per minute.", Code::LlmRateLimited),
            (429, "You exceeded your current quota: 10 requests per minute. See billing.", Code::LlmRateLimited),
            (400, "The balance of the classes must be a number.", Code::LlmRequestRejected),
            (503, "Insufficient balance of workers.", Code::LlmProvider5xx),
        ] {
            assert_eq!(said(status, message), code, "{status} {message}");
        }
        let minute = json!([{ "error": {
            "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota, check billing.",
            "details": [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "43s" }],
        } }]);
        assert_eq!(of(429, &minute), Code::LlmRateLimited, "waiting helps");
    }

    #[test]
    fn a_wrong_key_is_told_from_a_wrong_request() {
        let google = json!([{ "error": {
            "code": 400, "status": "INVALID_ARGUMENT", "message": "x", "details": [{ "reason": "API_KEY_INVALID" }],
        } }]);
        assert_eq!(of(400, &google), Code::LlmAuthFailed);
        for (status, message) in [
            (400, "API key not valid. Please pass a valid API key."),
            (400, "Incorrect API key provided: sk-x."),
            (403, "No auth credentials found"),
            (500, "Invalid API key"),
        ] {
            assert_eq!(said(status, message), Code::LlmAuthFailed, "{message}");
        }
        for message in [
            "The key 'api' is not valid",
            "Invalid value: 'incorrect API key'",
            "Unknown key in tools",
            "messages.0.key: field required",
        ] {
            assert_eq!(said(400, message), Code::LlmRequestRejected, "{message}");
        }
    }

    #[test]
    fn a_document_that_is_refused_is_told_from_a_key_that_is_refused() {
        let moderated = json!({ "error": { "code": 403, "message": "x", "metadata": { "reasons": ["violence"] } } });
        assert_eq!(of(403, &moderated), Code::LlmContentFiltered);
        for (status, message) in [
            (403, "Your input was flagged by our moderation"),
            (403, "Blocked by a guardrail of the workspace"),
            (400, "Your prompt was flagged as potentially violating our usage policy."),
            (400, "The response was filtered due to the content management policy."),
            (400, "Input data may contain inappropriate content."),
        ] {
            assert_eq!(said(status, message), Code::LlmContentFiltered, "{message}");
        }
        for (status, message, code) in [
            (403, "This key may not use this model.", Code::LlmAuthFailed),
            (403, "Your account was flagged for unusual activity.", Code::LlmAuthFailed),
            (403, "Guardrail settings are not permitted to use with this API key.", Code::LlmAuthFailed),
            (403, "Forbidden", Code::LlmAuthFailed),
            (400, "Feature flagged off: 'moderation'", Code::LlmRequestRejected),
            (400, "Invalid value: 'our content policy'", Code::LlmRequestRejected),
        ] {
            assert_eq!(said(status, message), code, "{message}");
        }
    }

    #[test]
    fn a_page_of_a_firewall_is_told_from_a_refused_key() {
        let page = |status| classify(status, &ProviderError::parse(b"<!DOCTYPE html><title>Attention flagged</title>"));
        assert_eq!((page(403), page(406)), (Code::LlmGatewayRefused, Code::LlmGatewayRefused));
        assert_eq!(
            (page(401), page(404), page(502)),
            (Code::LlmAuthFailed, Code::LlmModelNotFound, Code::LlmProvider5xx)
        );
        assert_eq!((page(429), page(413)), (Code::LlmRateLimited, Code::LlmContextTooLong));
        assert_eq!(classify(403, &ProviderError::parse(b"Forbidden")), Code::LlmAuthFailed);
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_from_a_limit_of_tokens() {
        for (status, message) in [
            (400, "This model's maximum context length is 32768 tokens. However, you requested 41648 tokens."),
            (400, "The input token count (12) exceeds the maximum number of tokens allowed (10)."),
            (400, "prompt is too long: 212000 tokens > 200000 maximum"),
            (400, "This model's maximum prompt length is 131072 but the request contains 150000 tokens."),
            (
                422,
                "`inputs` tokens + `max_new_tokens` must be <= 4096. inputs tokens: 5000, max_new_tokens must be small",
            ),
            (429, "Request too large for gpt-x on tokens per min (TPM): Limit 30000, Requested 42000."),
            (500, "the request exceeds the available context size"),
        ] {
            assert_eq!(said(status, message), Code::LlmContextTooLong, "{message}");
        }
        for (status, message, code) in [
            (
                400,
                "max_tokens is too large: 1000. This model supports at most 512 completion tokens",
                Code::LlmRequestRejected,
            ),
            (429, "Rate limit reached: Limit 30000, Used 30000, Requested 2000.", Code::LlmRateLimited),
            (400, "The name is too long", Code::LlmRequestRejected),
            (400, "Invalid value: 'the prompt is too long'", Code::LlmRequestRejected),
            (503, "prompt is too long", Code::LlmProvider5xx),
            (400, "stop: expected a list of maximum length 4", Code::LlmRequestRejected),
        ] {
            assert_eq!(said(status, message), code, "{message}");
        }
        let coded = |message: &str| {
            of(429, &json!({ "error": { "message": message, "type": "tokens", "code": "rate_limit_exceeded" } }))
        };
        assert_eq!(coded("Request too large: Limit 30000, Requested 42000."), Code::LlmContextTooLong);
        assert_eq!(coded("Limit 30000, Used 30000, Requested 2000."), Code::LlmRateLimited);
    }

    #[test]
    fn a_fault_that_passes_does_not_fail_a_file() {
        assert_eq!(of(424, &json!({ "error": "Request failed", "error_type": "generation" })), Code::LlmProvider5xx);
        assert_eq!(of(498, &json!({ "error": { "code": "capacity_exceeded" } })), Code::LlmRateLimited);
        assert_eq!(classify(499, &ProviderError::default()), Code::LlmProvider5xx);
        assert_eq!(said(400, "The model is currently overloaded"), Code::LlmProvider5xx);
        assert_eq!(said(403, "Rate limit exceeded"), Code::LlmRateLimited);
        for message in ["The field 'at capacity' is unknown", "overload is not a number", "rate: limit is 2"] {
            assert_eq!(said(400, message), Code::LlmRequestRejected, "{message}");
        }
    }

    #[test]
    fn a_missing_model_is_told_from_another_missing_thing() {
        for message in ["The model `x` does not exist", "x is not a valid model ID", "Model x not found"] {
            assert_eq!(said(400, message), Code::LlmModelNotFound, "{message}");
        }
        for message in ["The file of the model does not exist", "Field 'x' not found", "Tool not found for model"] {
            assert_eq!(said(400, message), Code::LlmRequestRejected, "{message}");
        }
    }

    #[test]
    fn an_unknown_error_means_what_its_status_means() {
        for (status, code) in [(400, Code::LlmRequestRejected), (403, Code::LlmAuthFailed), (429, Code::LlmRateLimited)]
        {
            for body in [json!({}), json!({ "error": { "code": "something_new", "message": "Something new." } })] {
                assert_eq!(of(status, &body), code);
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
