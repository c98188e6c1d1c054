//! Writes the body of a request.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    adapted::{Adapted, SchemaForm},
    chat_request::{ChatMessage, ChatRequest},
    schema_for_model::schema_for_model,
};

/// Providers require a name for a schema: `[a-zA-Z0-9_-]`, at most 64 characters.
const SCHEMA_NAME: &str = "answer";

/// Writes the body of a request.
///
/// # Errors
/// Fails if the answer schema is not JSON.
pub(crate) fn request_body(
    question: &ChatRequest<'_>,
    model: &str,
    max_output_tokens: Option<u32>,
    adapted: Adapted,
) -> serde_json::Result<Vec<u8>> {
    let schema = question.answer_schema.map(|schema| schema_for_model(schema, adapted.schema)).transpose()?;
    let schema = schema.as_deref();
    let mut messages = question.messages.clone();
    let instruction;
    let response_format = match schema {
        None => None,
        Some(schema) if adapted.schema <= SchemaForm::Strict => {
            Some(ResponseFormat::JsonSchema { json_schema: NamedSchema { name: SCHEMA_NAME, strict: true, schema } })
        }
        Some(schema) => {
            instruction = show_schema(&messages, schema.get());
            put_system(&mut messages, &instruction);
            (adapted.schema == SchemaForm::JsonObject).then_some(ResponseFormat::JsonObject)
        }
    };
    let content: usize = messages.iter().map(|message| message.content.len()).sum();
    let schema = schema.map_or(0, |schema| schema.get().len());
    // Space for the escaped line breaks and quotes of usual text. The vector grows if a text needs more.
    let mut body = Vec::with_capacity((content + schema) * 17 / 16 + 512);
    let request = Request {
        model,
        messages,
        response_format,
        max_tokens: max_output_tokens.filter(|_| !adapted.max_completion_tokens),
        max_completion_tokens: max_output_tokens.filter(|_| adapted.max_completion_tokens),
        temperature: question.temperature.filter(|_| !adapted.temperature_dropped),
        stream: false,
    };
    serde_json::to_writer(&mut body, &request)?;
    Ok(body)
}

/// In JSON mode the provider does not show the schema to the model, and OpenAI requires the word JSON in the messages.
///
/// The schema joins a leading system message: some chat templates allow only one system message, at the start.
fn show_schema(messages: &[ChatMessage<'_>], schema: &str) -> String {
    let leading = leading_system(messages).map_or(String::new(), |message| format!("{}\n\n", message.content));
    format!("{leading}Answer with one JSON document and nothing else. It must satisfy this JSON Schema:\n{schema}")
}

fn put_system<'a>(messages: &mut Vec<ChatMessage<'a>>, content: &'a str) {
    let message = ChatMessage { role: "system", content };
    if leading_system(messages).is_some() {
        messages[0] = message;
    } else {
        messages.insert(0, message);
    }
}

fn leading_system<'a>(messages: &[ChatMessage<'a>]) -> Option<ChatMessage<'a>> {
    messages.first().copied().filter(|message| message.role == "system")
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: Vec<ChatMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    stream: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonSchema { json_schema: NamedSchema<'a> },
    JsonObject,
}

#[derive(Serialize)]
struct NamedSchema<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a RawValue,
}
