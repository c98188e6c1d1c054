//! What the words of an error mean, where neither its code nor its type says it. Each row names where the words were seen.
//!
//! Providers quote the request in their errors. So quoted text is taken out before, and each row wants words that providers
//! use about the request and not words that a document may bring. The words are compared and never shown.

use assay_core::code::Code;

/// Statuses whose errors differ by their words. Inside a success the status says nothing.
const READ: &[u16] = &[200, 400, 403, 404, 412, 413, 422, 429, 500];
/// Statuses of a refused request.
const REFUSED: &[u16] = &[200, 400, 403, 404, 413, 422, 500];

/// Words that mean a code.
struct Row {
    code: Code,
    statuses: &'static [u16],
    /// Each set means the code if all its words are there.
    any_of: &'static [&'static [&'static str]],
    /// Words that say that another thing is meant.
    unless: &'static [&'static str],
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader of the table"))]
    source: &'static str,
}

/// The first row that fits decides.
const ROWS: &[Row] = &[
    Row {
        code: Code::LlmQuotaExhausted,
        statuses: READ,
        any_of: &[
            &["credit balance"],
            &["spend limit"],
            &["spending limit"],
            &["usage limits", "regain access"],
            &["insufficient balance"],
            &["insufficient credit"],
            &["insufficient funds"],
            &["not enough credit"],
            &["good standing"],
            &["purchase", "credits"],
            &["used all available credits"],
            &["out of credits"],
            &["no credits"],
            &["account", "suspended", "balance"],
            &["exceeded your current quota", "billing"],
            &["exceeded your monthly", "credits"],
            &["requires more credits"],
            &["payment required"],
        ],
        // Gemini's limits per minute have the same words and name a wait.
        unless: &["per minute", "please retry in", "perminute"],
        source: "continuedev/continue#5499 and #10740, QwenLM/qwen-code#54, platform.claude.com errors, OpenAI's words",
    },
    Row {
        code: Code::LlmAuthFailed,
        statuses: READ,
        any_of: &[
            &["api key not valid"],
            &["api key not found"],
            &["api key expired"],
            &["api key is invalid"],
            &["api key is expired"],
            &["incorrect api key"],
            &["invalid api key"],
            &["invalid api-key"],
            &["missing api key"],
            &["no api key"],
            &["no auth credentials"],
            &["invalid subscription key"],
            &["account", "deactivated"],
        ],
        unless: &[],
        source: "google-gemini/gemini-cli#25198, xAI's 400, DashScope, OpenRouter",
    },
    Row {
        code: Code::LlmContextTooLong,
        statuses: READ,
        any_of: &[
            &["maximum context length"],
            &["maximum context limit"],
            &["maximum prompt length"],
            &["maximum model length"],
            &["maximum input length"],
            &["model's context length"],
            &["model's context window"],
            &["model's context limit"],
            &["exceeds the context window"],
            &["exceed context limit"],
            &["exceeds context limit"],
            &["exceeds the available context size"],
            &["context length exceeded"],
            &["context window exceeded"],
            &["prompt is too long"],
            &["prompt too long"],
            &["input is too long"],
            &["input too long"],
            &["exceeds the maximum number of tokens"],
            &["exceeds the maximum number of input tokens"],
            &["exceeds token limit"],
            &["token limit exceeded"],
            &["too many input tokens"],
            &["tokens in request more than max tokens allowed"],
            &["range of input length"],
            &["reduce the length of the messages"],
            &["reduce the length of the prompt"],
            &["request too large for model"],
            &["request too large", "tokens"],
            &["inputs tokens", "max_new_tokens", "must be"],
        ],
        unless: &[],
        source: "BerriAI/litellm exception_mapping_utils.py, HKUSTDial/Alpha-SQL#5, vLLM, SGLang, TGI, xAI, Groq",
    },
    Row {
        code: Code::LlmContentFiltered,
        statuses: &[403],
        any_of: &[
            &["flagged"],
            &["moderation"],
            &["guardrail"],
            &["content policy"],
            &["content filter"],
            &["content management policy"],
            &["safety policy"],
            &["safety system"],
        ],
        // A flagged account is its owner's matter.
        unless: &["account", "organization", "api key", "your key", "this key", "not permitted to use", "may not use"],
        source: "openrouter.ai/docs errors",
    },
    Row {
        code: Code::LlmContentFiltered,
        statuses: &[200, 400, 422, 451],
        any_of: &[
            &["prompt was flagged"],
            &["input was flagged"],
            &["request was flagged"],
            &["flagged as potentially"],
            &["flagged by", "moderation"],
            &["flagged by", "filter"],
            &["blocked by", "guardrail"],
            &["guardrail", "intervened"],
            &["violates", "content policy"],
            &["violates", "usage polic"],
            &["violation of", "usage polic"],
            &["content management policy"],
            &["rejected", "safety system"],
            &["inappropriate content"],
            &["sensitive content"],
            &["unsafe or sensitive"],
            &["considered high risk"],
            &["content exists risk"],
            &["prompt was blocked"],
            &["prohibited content"],
        ],
        unless: &["account", "organization", "api key"],
        source: "the error codes of openai-python, Azure OpenAI, DashScope, Zhipu, Moonshot, DeepSeek",
    },
    Row {
        code: Code::LlmModelNotFound,
        statuses: REFUSED,
        any_of: &[
            &["model", "does not exist"],
            &["model", "not found"],
            &["is not a valid model"],
            &["invalid model name"],
            &["invalid model id"],
            &["invalid model identifier"],
            &["model", "has been decommissioned"],
            &["model", "no longer available"],
            &["unknown model"],
            &["no endpoints found"],
        ],
        unless: &["file", "image", "tool", "schema", "field", "property"],
        source: "OpenAI, OpenRouter, Groq, Bedrock, LiteLLM",
    },
    Row {
        code: Code::LlmRateLimited,
        statuses: &[200, 400, 403, 500],
        any_of: &[
            &["rate limit reached"],
            &["rate limit exceeded"],
            &["too many requests"],
            &["exceeded", "requests per minute"],
            &["exceeded", "tokens per minute"],
        ],
        unless: &[],
        source: "gateways that answer with the upstream's words",
    },
    Row {
        code: Code::LlmProvider5xx,
        statuses: &[200, 400, 403, 404, 422],
        any_of: &[
            &["currently overloaded"],
            &["temporarily overloaded"],
            &["model is overloaded"],
            &["temporarily unavailable"],
            &["currently unavailable", "try again"],
            &["at capacity"],
            &["currently loading"],
            &["still loading"],
            &["internal server error"],
            &["upstream", "timed out"],
            &["upstream", "timeout"],
        ],
        unless: &[],
        source: "Hugging Face, llama-server, OpenRouter and other gateways",
    },
];

/// Returns what the words of an error mean, in lower case and without quoted text.
pub(super) fn by_words(status: u16, text: &str) -> Option<Code> {
    let fits = |row: &&Row| {
        row.statuses.contains(&status)
            && row.any_of.iter().any(|words| words.iter().all(|word| text.contains(word)))
            && !row.unless.iter().any(|word| text.contains(word))
    };
    ROWS.iter().find(fits).map(|row| row.code)
}

/// Returns whether a rate limit is smaller than what was asked for: waiting never makes the request fit.
pub(super) fn never_fits(text: &str) -> bool {
    let number = |word: &str| text.match_indices(word).find_map(|(at, _)| number_after(&text[at + word.len()..]));
    matches!((number("limit"), number("requested")), (Some(limit), Some(requested)) if requested > limit)
}

/// Reads the number right behind a word: " 30000", ": 30,000".
fn number_after(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches([' ', ':', '=']);
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(digits.len());
    digits[..end].replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_can_be_met_and_names_its_source() {
        for row in ROWS {
            assert!(!row.source.is_empty());
            for words in row.any_of {
                assert!(words.iter().all(|word| *word == word.to_lowercase()), "{words:?}");
            }
        }
    }

    #[test]
    fn a_request_never_fits_where_the_limit_is_smaller() {
        assert!(never_fits("tokens per min (tpm): limit 30000, requested 42000. reduce"));
        assert!(never_fits("limit: 30,000, requested: 42,000"));
        for text in [
            "limit 30000, used 30000, requested 2000",
            "limit 30000, requested 30000",
            "requested 42000",
            "limit 30000",
            "limit of the plan, requested by the user",
            "",
        ] {
            assert!(!never_fits(text), "{text}");
        }
    }
}
