//! From a question to an answer, without any I/O.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    directives::{self, break_schema},
    schema::Schema,
    text_source::TextSource,
    transcript::{Transcript, first_date},
    wire::{ApiError, ChatRequest, Completion, Message, ResponseFormat, cut_to_tokens, tokens},
};

/// Answers a question. `first_time` returns whether it sees a question's hash for the first time.
pub(super) fn answer(
    request: &ChatRequest,
    compile: impl Fn(&Value) -> Option<Arc<Schema>>,
    first_time: impl Fn(u64) -> bool,
) -> Result<Completion, ApiError> {
    let whole = text_of(request, |_| true);
    let from_user = text_of(request, |message| message.role == "user");
    let question = if from_user.trim().is_empty() { &whole } else { &from_user };
    let seed = hash(&whole);
    let asks_for = |directive| question.contains(directive);
    if asks_for(directives::RATE_LIMIT_ONCE) && first_time(seed) {
        return Err(ApiError::RATE_LIMITED);
    }

    let mut transcript = Transcript::find(question);
    // The date may stand in the instructions.
    transcript.today = transcript.today.or_else(|| first_date(&whole));
    let prose = || TextSource::new(&transcript).text("summary");
    let mut content = match wanted_answer(request, &whole, compile)? {
        Wanted::Instance(schema) if !asks_for(directives::ANSWER_PROSE) => {
            let answer = schema.answer(&transcript, seed);
            let answer = if asks_for(directives::BREAK_SCHEMA) { break_schema(&schema, answer) } else { answer };
            answer.to_string()
        }
        Wanted::AnyObject if !asks_for(directives::ANSWER_PROSE) => json!({ "answer": prose() }).to_string(),
        _ => prose(),
    };
    if asks_for(directives::FENCE_ANSWER) {
        content = format!("```json\n{content}\n```");
    }

    let mut completion =
        Completion { content: None, refusal: None, finish_reason: "stop", prompt_tokens: tokens(&whole) };
    if asks_for(directives::REFUSE) {
        completion.refusal = Some("The stand-in was told to refuse.".to_owned());
    } else if asks_for(directives::FILTER) {
        completion.finish_reason = "content_filter";
    } else {
        let half = asks_for(directives::CUT_ANSWER).then(|| tokens(&content) / 2);
        let limit = [half, request.max_answer_tokens()].into_iter().flatten().min();
        if let Some(limit) = limit.filter(|limit| *limit < tokens(&content)) {
            content = cut_to_tokens(&content, limit);
            completion.finish_reason = "length";
        }
        completion.content = Some(content);
    }
    Ok(completion)
}

fn text_of(request: &ChatRequest, chosen: impl Fn(&&Message) -> bool) -> String {
    request.messages.iter().filter(chosen).map(Message::text).collect::<Vec<_>>().join("\n")
}

enum Wanted {
    Text,
    AnyObject,
    Instance(Arc<Schema>),
}

fn wanted_answer(
    request: &ChatRequest,
    whole: &str,
    compile: impl Fn(&Value) -> Option<Arc<Schema>>,
) -> Result<Wanted, ApiError> {
    match &request.response_format {
        None | Some(ResponseFormat::Text) => Ok(Wanted::Text),
        Some(ResponseFormat::JsonSchema { json_schema }) => match &json_schema.schema {
            Some(schema) => compile(schema).map(Wanted::Instance).ok_or(ApiError::INVALID_SCHEMA),
            None => Ok(Wanted::AnyObject),
        },
        // OpenAI's own rule for this format.
        Some(ResponseFormat::JsonObject) if !whole.to_lowercase().contains("json") => Err(ApiError::invalid(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )),
        Some(ResponseFormat::JsonObject) => {
            Ok(schema_in(whole).and_then(|schema| compile(&schema)).map_or(Wanted::AnyObject, Wanted::Instance))
        }
    }
}

/// Finds a JSON Schema for an object in the words of a question.
fn schema_in(text: &str) -> Option<Value> {
    text.match_indices('{').find_map(|(start, _)| {
        let value = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>().next()?.ok()?;
        let is_schema = value.get("$schema").is_some() || value["type"] == "object" && value["properties"].is_object();
        is_schema.then_some(value)
    })
}

/// Returns the first 64 bits of a digest: the same in every run and on every machine.
fn hash(text: &str) -> u64 {
    Sha256::digest(text).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
