//! What a model does not take, learnt from its rejections.
//!
//! The first request asks for the best: an answer held to the schema, the guest's temperature, `max_tokens`. Where a server
//! rejects one of these, the request is made once more without it, within the same call and its one deadline; a rejected
//! request was no answer, so nothing is bought twice. What helped is remembered for the life of the process.
//!
//! `max_tokens` goes first, although OpenAI calls it outdated: OpenAI's newer models reject it loudly, and we adapt, while
//! many compatible servers ignore `max_completion_tokens` silently, and the limit would be lost.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use parking_lot::RwLock;

use super::wire::ProviderError;

/// How a request differed from the first choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adapted {
    /// `response_format` was `json_object` with the schema in the prompt, not `json_schema`.
    pub json_object: bool,
    /// The guest's temperature was left out.
    pub temperature_dropped: bool,
    /// The token limit was sent as `max_completion_tokens`.
    pub max_completion_tokens: bool,
}

/// The parts of a request that can be rejected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carries {
    pub schema: bool,
    pub temperature: bool,
    pub token_limit: bool,
}

impl Carries {
    /// Reports only what concerned this request: a model may be known to reject what the request did not carry.
    pub(super) fn narrow(self, adapted: Adapted) -> Adapted {
        Adapted {
            json_object: self.schema && adapted.json_object,
            temperature_dropped: self.temperature && adapted.temperature_dropped,
            max_completion_tokens: self.token_limit && adapted.max_completion_tokens,
        }
    }
}

/// The next thing to try after a rejection, or none where the rejection is about something else.
///
/// Each part is given up at most once, so a call makes at most four requests.
pub(super) fn after(now: Adapted, carries: Carries, status: u16, error: &ProviderError) -> Option<Adapted> {
    // 200: gateways put the upstream's error into a success. 500: llama-cpp-python answers a response_format that it does
    // not know with its own validation error as a 500; 501 is the honest form.
    let is_rejection = matches!(status, 200 | 400 | 422 | 500 | 501);
    if !is_rejection {
        return None;
    }
    if carries.temperature && !now.temperature_dropped && error.is_about("temperature", &["temperature"]) {
        return Some(Adapted { temperature_dropped: true, ..now });
    }
    // Only where the name is the problem: a limit that is too high is the guest's fault under either name.
    let wrong_name = error.param.as_deref() == Some("max_tokens")
        && error.code.as_deref() == Some("unsupported_parameter")
        || error.says(&["max_completion_tokens"]);
    if carries.token_limit && !now.max_completion_tokens && wrong_name {
        return Some(Adapted { max_completion_tokens: true, ..now });
    }
    if carries.schema && !now.json_object && error.is_about("response_format", RESPONSE_FORMAT_WORDS) {
        return Some(Adapted { json_object: true, ..now });
    }
    None
}

/// For servers whose errors name no parameter: DeepSeek and LM Studio ("response_format type is unavailable"), Groq
/// ("response format `json_schema`"), llama-cpp-python (a Python list that contains 'response_format'), vLLM and gateways
/// ("json_schema", "structured outputs"). A false match costs one request and never an answer.
const RESPONSE_FORMAT_WORDS: &[&str] = &["response_format", "response format", "json_schema", "structured output"];

/// What helped before, per model of the one endpoint that an adapter has.
///
/// A rejected schema is remembered with the schema: one guest's schema that the provider does not take must not cost the
/// other guests their strict answers. The price is one rejected request for each schema and process.
#[derive(Debug, Default)]
pub(super) struct Memory {
    models: RwLock<HashMap<String, Known>>,
}

#[derive(Debug, Default)]
struct Known {
    rejects_temperature: bool,
    wants_max_completion_tokens: bool,
    rejected_schemas: HashSet<u64>,
}

/// Schemas come from guests, so their number is bounded; forgetting all of them costs one rejected request each.
const REMEMBERED_SCHEMAS: usize = 1024;

impl Memory {
    pub(super) fn recall(&self, model: &str, schema: Option<&str>) -> Adapted {
        let models = self.models.read();
        let Some(known) = models.get(model) else {
            return Adapted::default();
        };
        Adapted {
            json_object: schema.is_some_and(|schema| known.rejected_schemas.contains(&fingerprint(schema))),
            temperature_dropped: known.rejects_temperature,
            max_completion_tokens: known.wants_max_completion_tokens,
        }
    }

    pub(super) fn remember(&self, model: &str, schema: Option<&str>, adapted: Adapted) {
        let mut models = self.models.write();
        let known = models.entry(model.to_owned()).or_default();
        known.rejects_temperature |= adapted.temperature_dropped;
        known.wants_max_completion_tokens |= adapted.max_completion_tokens;
        if let Some(schema) = schema.filter(|_| adapted.json_object) {
            if known.rejected_schemas.len() >= REMEMBERED_SCHEMAS {
                known.rejected_schemas.clear();
            }
            known.rejected_schemas.insert(fingerprint(schema));
        }
    }
}

fn fingerprint(schema: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    schema.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Carries = Carries { schema: true, temperature: true, token_limit: true };

    fn step(now: Adapted, status: u16, body: &str) -> Option<Adapted> {
        after(now, ALL, status, &ProviderError::parse(body.as_bytes()))
    }

    fn first(status: u16, body: &str) -> Option<Adapted> {
        step(Adapted::default(), status, body)
    }

    const JSON_OBJECT: Adapted =
        Adapted { json_object: true, temperature_dropped: false, max_completion_tokens: false };

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
        ];
        for (status, body) in shapes {
            assert_eq!(first(status, body), Some(JSON_OBJECT), "{body}");
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
        ] {
            assert_eq!(first(status, body), None, "{body}");
        }
    }

    #[test]
    fn a_named_parameter_goes_before_the_text() {
        let body = r#"{"error":{"message":"temperature is not supported with response_format","param":"temperature"}}"#;
        assert_eq!(first(400, body), Some(Adapted { temperature_dropped: true, ..Adapted::default() }));
        let body =
            r#"{"error":{"message":"temperature and response_format exclude each other","param":"response_format"}}"#;
        assert_eq!(first(400, body), Some(JSON_OBJECT));
    }

    #[test]
    fn each_part_is_given_up_once_and_only_if_it_was_sent() {
        let body = r#"{"error":{"param":"response_format"}}"#;
        assert_eq!(step(JSON_OBJECT, 400, body), None);
        assert_eq!(after(Adapted::default(), Carries::default(), 400, &ProviderError::parse(body.as_bytes())), None);
    }

    #[test]
    fn only_the_name_of_the_token_limit_is_changed_never_its_value() {
        let renamed = r#"{"error":{"message":"Use 'max_completion_tokens' instead.","param":"max_tokens","code":"unsupported_parameter"}}"#;
        assert_eq!(first(400, renamed), Some(Adapted { max_completion_tokens: true, ..Adapted::default() }));
        let too_large =
            r#"{"error":{"message":"max_tokens is too large","param":"max_tokens","code":"invalid_value"}}"#;
        assert_eq!(first(400, too_large), None);
    }

    #[test]
    fn one_rejected_schema_leaves_the_others_strict() {
        let memory = Memory::default();
        memory.remember("m", Some("{}"), JSON_OBJECT);
        assert!(memory.recall("m", Some("{}")).json_object);
        assert!(!memory.recall("m", Some(r#"{"type":"object"}"#)).json_object);
        assert!(!memory.recall("other", Some("{}")).json_object);
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = Memory::default();
        for schema in 0..=REMEMBERED_SCHEMAS {
            memory.remember("m", Some(&schema.to_string()), JSON_OBJECT);
        }
        assert!(memory.models.read()["m"].rejected_schemas.len() <= REMEMBERED_SCHEMAS);
        assert!(memory.recall("m", Some(&REMEMBERED_SCHEMAS.to_string())).json_object);
    }
}
