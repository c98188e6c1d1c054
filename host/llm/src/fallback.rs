//! Leaves out the parts of a request that a model rejects.
//!
//! The first request asks for everything: an answer held to the schema, the guest's temperature, `max_tokens`. If a server
//! rejects one of these, the request is sent again without it, within the same call and deadline. A rejected request was
//! not answered, so nothing is paid twice. A schema goes down one form at a time: as the guest gave it, in the strict
//! subset, as `json_object` with the schema in the prompt, in the prompt alone.
//!
//! `max_tokens` goes first, although OpenAI calls it outdated. OpenAI's newer models reject it with an error, and we adapt.
//! Many compatible servers ignore `max_completion_tokens` silently, and the limit would be lost.

use assay_core::code::Code;

use crate::{
    adapted::{Adapted, SchemaForm},
    classify::classify,
    provider_error::ProviderError,
};

/// The parts of a request that can be rejected.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OptionalParts {
    pub schema: bool,
    pub temperature: bool,
    pub token_limit: bool,
}

impl OptionalParts {
    /// Drops adaptations of parts that this request does not have.
    pub(crate) fn narrow(self, adapted: Adapted) -> Adapted {
        Adapted {
            schema: if self.schema { adapted.schema } else { SchemaForm::default() },
            temperature_dropped: self.temperature && adapted.temperature_dropped,
            max_completion_tokens: self.token_limit && adapted.max_completion_tokens,
        }
    }
}

/// Returns what to leave out next, or `None` if the rejection has another reason.
///
/// Each step is taken at most once, so a call makes at most six requests.
pub(crate) fn next_fallback(now: Adapted, parts: OptionalParts, status: u16, error: &ProviderError) -> Option<Adapted> {
    // 200: gateways put the upstream's error into a success. 500: llama-cpp-python reports an unknown response_format as an
    // internal error. 501: other servers report it correctly.
    let is_rejection = matches!(status, 200 | 400 | 422 | 500 | 501);
    if !is_rejection {
        return None;
    }
    if parts.temperature && !now.temperature_dropped && error.is_about("temperature", &["temperature"]) {
        return Some(Adapted { temperature_dropped: true, ..now });
    }
    // Only if the server rejects the name: a limit that is too high is the guest's fault under either name.
    let wrong_name = error.param.as_deref() == Some("max_tokens") && error.has_token("unsupported_parameter")
        || error.says(&["max_completion_tokens"]);
    if parts.token_limit && !now.max_completion_tokens && wrong_name {
        return Some(Adapted { max_completion_tokens: true, ..now });
    }
    // No format makes a prompt shorter or fills an account.
    let may_be_format =
        matches!(classify(status, error), Code::LlmRequestRejected | Code::LlmProvider5xx | Code::LlmBadEnvelope);
    if parts.schema && may_be_format && is_about_schema(error) {
        return now.schema.next().map(|schema| Adapted { schema, ..now });
    }
    None
}

/// Parameters that hold the schema, in any wire format.
const SCHEMA_PARAMETERS: &[&str] =
    &["response_format", "response_schema", "json_schema", "output_config", "text", "tools", "guided_json"];

/// Words of servers whose errors name no parameter: DeepSeek and LM Studio ("response_format type is unavailable"), Groq
/// ("response format `json_schema`"), llama-cpp-python (a Python list that contains 'response_format'), vLLM
/// (vllm-project/vllm#16321), Gemini, Anthropic (elie222/inbox-zero#2323), OpenRouter (reVrost/go-openrouter#21). A false match
/// costs one request and never an answer.
const SCHEMA_WORDS: &[&str] = &[
    "schema",
    "grammar",
    "guided",
    "constraint",
    "constrained",
    "response_format",
    "response format",
    "output_config",
    "structured output",
    "structured_output",
    "text.format",
    "json mode",
];

fn is_about_schema(error: &ProviderError) -> bool {
    match error.param.as_deref() {
        Some(named) => {
            let first = named.split(['.', '[']).next().unwrap_or(named);
            SCHEMA_PARAMETERS.contains(&first)
        }
        None => error.says(SCHEMA_WORDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: OptionalParts = OptionalParts { schema: true, temperature: true, token_limit: true };

    fn step(now: Adapted, status: u16, body: &str) -> Option<Adapted> {
        next_fallback(now, ALL, status, &ProviderError::parse(body.as_bytes()))
    }

    fn first(status: u16, body: &str) -> Option<Adapted> {
        step(Adapted::default(), status, body)
    }

    const fn form(schema: SchemaForm) -> Adapted {
        Adapted { schema, temperature_dropped: false, max_completion_tokens: false }
    }

    const STRICT: Adapted = form(SchemaForm::Strict);

    #[test]
    fn a_rejected_response_format_is_recognized_in_every_known_shape() {
        let shapes = [
            (
                400,
                r#"{"error":{"message":"Invalid parameter","type":"invalid_request_error","param":"response_format","code":null}}"#,
            ),
            (400, r#"{"error":{"message":"This response_format type is unavailable now","param":null}}"#),
            (400, r#"{"error":{"message":"This model does not support response format `json_schema`."}}"#),
            (400, r#"{"object":"error","message":"structured outputs need a newer engine","param":null,"code":400}"#),
            (
                422,
                r#"{"detail":[{"type":"literal_error","loc":["body","response_format","type"],"msg":"Input should be"}]}"#,
            ),
            (
                500,
                r#"{"error":{"message":"[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type')}]","type":"internal_server_error"}}"#,
            ),
            (400, r#"{"error":"'response_format.type' must be 'text'"}"#),
            (200, r#"{"error":{"message":"json_schema is not supported","code":400}}"#),
            (
                400,
                r#"{"object":"error","message":"The provided JSON schema contains features not supported by xgrammar."}"#,
            ),
            (
                400,
                r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"Invalid schema\",\"param\":\"response_format\"}}"}}}"#,
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"Unknown name \"additionalProperties\" at 'generation_config.response_schema'","status":"INVALID_ARGUMENT"}}]"#,
            ),
            (
                400,
                r#"{"error":{"type":"invalid_request_error","message":"too many optional parameters (87) for the grammar"}}"#,
            ),
            (400, r#"{"error":{"message":"x","param":"text.format.schema"}}"#),
        ];
        for (status, body) in shapes {
            assert_eq!(first(status, body), Some(STRICT), "{body}");
        }
    }

    #[test]
    fn other_errors_change_nothing() {
        for (status, body) in [
            (400, r#"{"error":{"message":"context too long","code":"context_length_exceeded","param":"messages"}}"#),
            (429, r#"{"error":{"message":"response_format limit","code":"rate_limit_exceeded"}}"#),
            (503, r#"{"error":{"message":"json_schema workers are down"}}"#),
            (500, "<html>internal error</html>"),
            (401, r#"{"error":{"param":"response_format"}}"#),
            (400, r#"{"error":{"message":"The schema of messages is wrong","param":"messages"}}"#),
            (400, r#"{"error":{"message":"Your credit balance is too low to use a schema"}}"#),
            (400, r#"{"error":{"message":"maximum context length is 8 tokens, schema included"}}"#),
            (400, r#"{"error":{"message":"Something else is wrong"}}"#),
        ] {
            assert_eq!(first(status, body), None, "{body}");
        }
    }

    #[test]
    fn a_named_parameter_decides_before_the_text() {
        let body = r#"{"error":{"message":"temperature is not supported with response_format","param":"temperature"}}"#;
        assert_eq!(first(400, body), Some(Adapted { temperature_dropped: true, ..Adapted::default() }));
        let body =
            r#"{"error":{"message":"temperature and response_format exclude each other","param":"response_format"}}"#;
        assert_eq!(first(400, body), Some(STRICT));
    }

    #[test]
    fn a_schema_goes_down_one_form_at_a_time_and_only_if_it_was_sent() {
        let body = r#"{"error":{"param":"response_format"}}"#;
        assert_eq!(step(STRICT, 400, body), Some(form(SchemaForm::JsonObject)));
        assert_eq!(step(form(SchemaForm::JsonObject), 400, body), Some(form(SchemaForm::InPrompt)));
        assert_eq!(step(form(SchemaForm::InPrompt), 400, body), None);
        assert_eq!(
            next_fallback(Adapted::default(), OptionalParts::default(), 400, &ProviderError::parse(body.as_bytes())),
            None
        );
    }

    #[test]
    fn only_the_name_of_the_token_limit_is_changed_never_its_value() {
        let renamed = r#"{"error":{"message":"Use 'max_completion_tokens' instead.","param":"max_tokens","code":"unsupported_parameter"}}"#;
        assert_eq!(first(400, renamed), Some(Adapted { max_completion_tokens: true, ..Adapted::default() }));
        let too_large =
            r#"{"error":{"message":"max_tokens is too large","param":"max_tokens","code":"invalid_value"}}"#;
        assert_eq!(first(400, too_large), None);
    }
}
