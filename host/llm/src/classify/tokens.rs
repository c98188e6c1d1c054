//! What a provider's code or type means. Each row names where it was seen.

use assay_core::code::Code;

/// Tokens, in lower case, and what they mean with any status.
const TOKENS: &[(Code, &[&str], &str)] = &[
    (
        Code::LlmQuotaExhausted,
        &[
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "billing_hard_limit_reached",
            "billing_not_active",
        ],
        "OpenAI, with 429; waiting does not refill an account",
    ),
    (Code::LlmQuotaExhausted, &["billing_error"], "Anthropic, with 402"),
    (Code::LlmQuotaExhausted, &["insufficient_balance"], "DeepSeek, Zhipu"),
    (Code::LlmQuotaExhausted, &["insufficient_balance_error"], "MiniMax: modelscope/modelscope#1691"),
    (Code::LlmQuotaExhausted, &["exceeded_current_quota_error"], "Moonshot"),
    (Code::LlmQuotaExhausted, &["arrearage"], "DashScope: QuantumNous/new-api#1401"),
    (Code::LlmQuotaExhausted, &["minimax_1008"], "MiniMax, base_resp: insufficient balance"),
    (
        Code::LlmAuthFailed,
        &["invalid_api_key", "account_deactivated", "unsupported_country_region_territory"],
        "OpenAI",
    ),
    (Code::LlmAuthFailed, &["authentication_error", "permission_error"], "Anthropic, and servers that copy it"),
    (Code::LlmAuthFailed, &["data_residency_mismatch"], "OpenAI Responses: openai-python, ResponseError"),
    (Code::LlmAuthFailed, &["invalidapikey", "invalid_authentication_error"], "DashScope, Moonshot"),
    (Code::LlmAuthFailed, &["minimax_1004", "minimax_2049"], "MiniMax, base_resp: not authorized, invalid key"),
    (
        Code::LlmContextTooLong,
        &["context_length_exceeded", "string_above_max_length"],
        "OpenAI, vLLM, llama-cpp-python",
    ),
    (Code::LlmContextTooLong, &["exceed_context_size_error"], "llama-server"),
    (Code::LlmContextTooLong, &["request_too_large"], "Anthropic, with 413"),
    (Code::LlmContextTooLong, &["minimax_1039"], "MiniMax, base_resp: token limit"),
    (
        Code::LlmModelNotFound,
        &["model_not_found", "deploymentnotfound", "model_not_available", "model_not_exist"],
        "OpenAI with 404, compatible servers with 400; Azure names deployments",
    ),
    (Code::LlmContentFiltered, &["content_filter", "content_policy_violation"], "Azure OpenAI refuses the prompt: 400"),
    (Code::LlmContentFiltered, &["responsibleaipolicyviolation"], "Azure OpenAI, the inner error"),
    (
        Code::LlmContentFiltered,
        &["invalid_prompt", "bio_policy", "image_content_policy_violation"],
        "OpenAI: openai-python, ResponseError",
    ),
    (Code::LlmContentFiltered, &["data_inspection_failed", "datainspectionfailed"], "DashScope"),
    (Code::LlmContentFiltered, &["content_filter_error", "contentfilter"], "Moonshot, Zhipu"),
    (Code::LlmContentFiltered, &["minimax_1026", "minimax_1027"], "MiniMax, base_resp: sensitive input or output"),
    (
        Code::LlmRateLimited,
        &["rate_limit_exceeded", "rate_limit_error", "rate_limit_reached_error", "slow_down", "resource_exhausted"],
        "OpenAI, Anthropic, Moonshot, Google; also inside a 200",
    ),
    (Code::LlmRateLimited, &["capacity_exceeded"], "Groq's flex tier, with 498"),
    (Code::LlmRateLimited, &["resource_unavailable"], "OpenAI's flex tier, with 429"),
    (Code::LlmRateLimited, &["throttling", "throttlingexception", "throttling.ratequota"], "DashScope, Bedrock"),
    (Code::LlmRateLimited, &["minimax_1002", "minimax_1041"], "MiniMax, base_resp: rate limit, connection limit"),
    (
        Code::LlmProvider5xx,
        &["overloaded_error", "overloaded", "engine_overloaded", "engine_overloaded_error"],
        "Anthropic, Moonshot; it lasts minutes and names no wait, so it counts as an outage",
    ),
    (
        Code::LlmProvider5xx,
        &[
            "server_error",
            "api_error",
            "internal_server_error",
            "internal_error",
            "service_unavailable",
            "service_unavailable_error",
            "timeout_error",
        ],
        "inside a 200, or beside a 5xx",
    ),
    (Code::LlmProvider5xx, &["generation", "incomplete_generation"], "Hugging Face TGI, error_type, with 424"),
    (
        Code::LlmProvider5xx,
        &["minimax_1000", "minimax_1001", "minimax_1013", "minimax_1024", "minimax_1033"],
        "MiniMax",
    ),
    (Code::LlmBadEnvelope, &["json_validate_failed"], "Groq: a 400 in place of a generation that is no JSON"),
];

/// Tokens that name a class of errors and leave the cause to the text. Their row counts after the words of the text.
const GENERAL: &[&str] = &["api_error", "rate_limit_exceeded", "resource_exhausted", "permission_error"];

/// Google's reasons, `error.details[].reason`: google.rpc.ErrorInfo.
const REASONS: &[(Code, &[&str])] = &[
    (Code::LlmAuthFailed, &["api_key_invalid", "api_key_expired", "api_key_service_blocked", "service_disabled"]),
    (Code::LlmQuotaExhausted, &["billing_disabled"]),
];

/// Returns the meaning of the first known token.
pub(super) fn by_token(token: &str) -> Option<Code> {
    TOKENS.iter().find(|(_, tokens, _)| tokens.contains(&token)).map(|(code, ..)| *code)
}

/// Returns whether the words of the text decide before this token.
pub(super) fn is_general(token: &str) -> bool {
    GENERAL.contains(&token)
}

/// Returns the meaning of one of Google's reasons.
pub(super) fn by_reason(reason: &str) -> Option<Code> {
    REASONS.iter().find(|(_, reasons)| reasons.contains(&reason)).map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_stands_in_one_row_and_each_row_names_its_source() {
        let mut seen = HashSet::new();
        for (code, tokens, source) in TOKENS {
            assert!(!source.is_empty(), "{code}");
            for token in *tokens {
                assert!(seen.insert(token), "{token}");
                assert_eq!(*token, token.to_ascii_lowercase());
            }
        }
        assert!(GENERAL.iter().all(|token| seen.contains(token)));
    }
}
