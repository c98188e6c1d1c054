//! From a question to an answer, without any I/O.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    markers::{Marker, break_schema},
    schema::Schema,
    transcript::Transcript,
    voice::Voice,
    wire::{ApiError, ChatRequest, Completion, Finish, ResponseFormat, cut_to, tokens},
};

/// What a question leads to.
#[derive(Debug)]
pub(super) enum Outcome {
    Completion(Completion),
    TurnedAway,
}

/// Answers a question. `compile` yields a schema's compiled form; `first_time` tells whether a question is seen for the first time.
pub(super) fn answer(
    request: &ChatRequest,
    compile: impl Fn(&Value) -> Option<Arc<Schema>>,
    first_time: impl Fn(u64) -> bool,
) -> Result<Outcome, ApiError> {
    let said = |role: &str| {
        request
            .messages
            .iter()
            .filter(|m| (m.role == role) == (role == "user"))
            .map(super::wire::Message::text)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let whole: String = request.messages.iter().map(super::wire::Message::text).collect::<Vec<_>>().join("\n");
    let from_user = said("user");
    let question = if from_user.trim().is_empty() { &whole } else { &from_user };
    let seed = hash(whole.as_bytes());
    let markers = Marker::find(question);
    let has = |marker| markers.contains(&marker);
    if has(Marker::RateLimitOnce) && first_time(seed) {
        return Ok(Outcome::TurnedAway);
    }

    let mut transcript = Transcript::find(question);
    // The date may stand in the instructions.
    transcript.today = transcript.today.or_else(|| Transcript::find(&whole).today);
    let schema = schema_of(request, &whole, compile)?;
    let prose = || Voice::new(&transcript).text("summary");
    let mut content = match &schema {
        _ if has(Marker::AnswerWithoutJson) => prose(),
        Wanted::Text => prose(),
        Wanted::AnyObject => json!({ "answer": prose() }).to_string(),
        Wanted::Instance(schema) => {
            let answer = schema.answer(&transcript, seed);
            if has(Marker::BreakTheSchema) { break_schema(schema, answer).to_string() } else { answer.to_string() }
        }
    };
    if has(Marker::FenceTheAnswer) {
        content = format!("```json\n{content}\n```");
    }

    let mut completion =
        Completion { content: None, refusal: None, finish: Finish::Stop, prompt_tokens: tokens(&whole) };
    if has(Marker::Refuse) {
        completion.refusal = Some("The stand-in was told to refuse.".to_owned());
    } else if has(Marker::Filter) {
        completion.finish = Finish::ContentFilter;
    } else {
        let half = has(Marker::CutTheAnswerShort).then(|| tokens(&content) / 2);
        let limit = [half, request.limit()].into_iter().flatten().min();
        if let Some(limit) = limit.filter(|limit| *limit < tokens(&content)) {
            content = cut_to(&content, limit);
            completion.finish = Finish::Length;
        }
        completion.content = Some(content);
    }
    Ok(Outcome::Completion(completion))
}

/// The shape that the answer is to have.
enum Wanted {
    Text,
    AnyObject,
    Instance(Arc<Schema>),
}

fn schema_of(
    request: &ChatRequest,
    whole: &str,
    compile: impl Fn(&Value) -> Option<Arc<Schema>>,
) -> Result<Wanted, ApiError> {
    match &request.response_format {
        None | Some(ResponseFormat::Text) => Ok(Wanted::Text),
        Some(ResponseFormat::JsonSchema { json_schema }) => match &json_schema.schema {
            Some(schema) => compile(schema).map(Wanted::Instance).ok_or_else(ApiError::invalid_schema),
            None => Ok(Wanted::AnyObject),
        },
        Some(ResponseFormat::JsonObject) => {
            // OpenAI's own rule for this format.
            if !whole.to_lowercase().contains("json") {
                return Err(ApiError::invalid(
                    "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                    Some("messages"),
                ));
            }
            Ok(schema_in(whole).and_then(|schema| compile(&schema)).map_or(Wanted::AnyObject, Wanted::Instance))
        }
    }
}

/// A JSON Schema for an object that stands in the words of a question.
fn schema_in(text: &str) -> Option<Value> {
    text.match_indices('{').find_map(|(start, _)| {
        let value = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>().next()?.ok()?;
        let is_schema = value.get("$schema").is_some()
            || value.get("type") == Some(&json!("object")) && value.get("properties").is_some_and(Value::is_object);
        is_schema.then_some(value)
    })
}

/// The first 64 bits of a digest: the same in every run and on every machine.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
