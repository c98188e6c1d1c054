//! The wire format of Chat Completions, written strictly and read leniently.
//!
//! Compatible servers leave out `object`, send null or "" for a finish reason, numbers for error codes, and fields of
//! their own. Only what is needed is read, and nothing that is not needed can make a paid answer unreadable.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    adapt::Adapted,
    request::{ChatMessage, ChatRequest},
};

/// The name that providers want for a schema: `[a-zA-Z0-9_-]`, at most 64.
const SCHEMA_NAME: &str = "answer";

/// Writes the body of a request.
///
/// # Errors
/// The question's schema is not JSON.
pub(super) fn request(
    question: &ChatRequest<'_>,
    model: &str,
    max_output_tokens: Option<u32>,
    adapted: Adapted,
) -> serde_json::Result<Vec<u8>> {
    let schema: Option<&RawValue> = question.answer_schema.map(serde_json::from_str).transpose()?;
    let mut messages = question.messages.clone();
    let instruction;
    let response_format = match schema {
        None => None,
        Some(schema) if !adapted.json_object => {
            Some(ResponseFormat::JsonSchema { json_schema: NamedSchema { name: SCHEMA_NAME, strict: true, schema } })
        }
        Some(schema) => {
            instruction = show_schema(&messages, schema.get());
            put_system(&mut messages, &instruction);
            Some(ResponseFormat::JsonObject)
        }
    };
    let content: usize = messages.iter().map(|message| message.content.len()).sum();
    let schema = schema.map_or(0, |schema| schema.get().len());
    // Room for the escapes of line breaks and quotes in usual text; what needs more grows.
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

/// In JSON mode nobody shows the schema to the model, and OpenAI demands the word JSON in the messages.
///
/// The schema joins a leading system message: some chat templates take one system message, at the start, and no other.
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

/// A byte-order mark, which JSON allows readers to ignore.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A success body. Each field that is not needed for the text may be anything.
#[derive(Deserialize)]
pub(super) struct Envelope {
    /// Null beside an error, in some gateways.
    pub choices: Option<Vec<Choice>>,
    #[serde(default, deserialize_with = "whatever")]
    pub model: Value,
    #[serde(default, deserialize_with = "whatever")]
    pub usage: Value,
    #[serde(default, deserialize_with = "whatever")]
    pub error: Value,
}

impl Envelope {
    /// Reads a success body.
    ///
    /// # Errors
    /// It is no completion.
    pub(super) fn parse(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body))
    }
}

#[derive(Deserialize)]
pub(super) struct Choice {
    pub message: Option<ChoiceMessage>,
    #[serde(default, deserialize_with = "whatever")]
    pub finish_reason: Value,
    /// OpenRouter reports an upstream that failed in the middle here.
    #[serde(default, deserialize_with = "whatever")]
    pub error: Value,
}

#[derive(Default, Deserialize)]
pub(super) struct ChoiceMessage {
    content: Option<Content>,
    #[serde(default, deserialize_with = "whatever")]
    refusal: Value,
}

/// A field that is not needed: null where it cannot be read, too deep or with half a surrogate pair in it.
fn whatever<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(text.get()).unwrap_or_default())
}

/// Whether a field `error` reports one. Some servers send it always, empty beside an answer.
pub(super) fn reports(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

/// Text, or text in parts as Mistral and some gateways send it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

impl ChoiceMessage {
    /// The text and the refusal, each where there is one.
    pub(super) fn into_text(self) -> (String, Option<String>) {
        let mut refusal = self.refusal.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let text = match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(part.text.as_deref().unwrap_or_default());
                    refusal = refusal.or(part.refusal);
                }
                text
            }
        };
        (text, refusal)
    }
}

/// What a provider says about an error, in any of the shapes that compatible servers use.
#[derive(Debug, Default)]
pub(super) struct ProviderError {
    /// Lower case, without spaces.
    pub code: Option<String>,
    /// Lower case, without spaces.
    pub kind: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// A status that stands in the body: gateways put upstream errors into a success.
    pub status: Option<u16>,
    /// Lower case. To search in, never to show: it may quote the prompt.
    text: String,
}

impl ProviderError {
    /// Reads an error body; anything that is no JSON is text.
    pub(super) fn parse(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_body(&value),
            Err(_) => Self { text: String::from_utf8_lossy(body).to_ascii_lowercase(), ..Self::default() },
        }
    }

    fn from_body(body: &Value) -> Self {
        // Gemini wraps the object in a list.
        let body = body.get(0).unwrap_or(body);
        match body.get("error") {
            Some(error) if !error.is_null() => Self::from_error(error),
            // vLLM puts the fields at the top, FastAPI has `detail`.
            _ => Self::from_error(body),
        }
    }

    /// Reads what stands under `error`.
    pub(super) fn from_error(error: &Value) -> Self {
        let word = |name: &str| error.get(name).and_then(Value::as_str).and_then(token);
        let number = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        Self {
            code: word("code").filter(|_| number.is_none()),
            // Gemini calls it `status`.
            kind: word("type").or_else(|| word("status")),
            param: word("param").or_else(|| first_location(error)),
            status: number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..600).contains(status)),
            text: match error {
                Value::String(text) => text.to_ascii_lowercase(),
                _ => {
                    let text = error.get("message").or_else(|| error.get("detail")).and_then(Value::as_str);
                    text.unwrap_or_default().to_ascii_lowercase()
                }
            },
        }
    }

    /// The words to classify by, most specific first.
    pub(super) fn tokens(&self) -> Vec<&str> {
        self.code.as_deref().into_iter().chain(self.kind.as_deref()).collect()
    }

    /// Whether the error names this parameter, or names none and has one of these words in its text.
    pub(super) fn is_about(&self, param: &str, words: &[&str]) -> bool {
        match self.param.as_deref() {
            Some(named) => named == param || named.starts_with(&format!("{param}.")),
            None => self.says(words),
        }
    }

    /// Whether one of these words is in its text.
    pub(super) fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }
}

/// FastAPI: `{"detail": [{"loc": ["body", "response_format", "type"], …}]}`.
fn first_location(error: &Value) -> Option<String> {
    let location = error.get("detail")?.get(0)?.get("loc")?.as_array()?;
    location.iter().filter_map(Value::as_str).find(|part| *part != "body").and_then(token)
}

/// A word that cannot be content: what providers use for codes, types, parameters and models.
pub(super) fn token(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_ascii_lowercase())
}

/// The provider's name of a model, where it is a name: "org/model:tag", at most 128 characters.
pub(super) fn model_name(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/@+-".contains(&byte);
    ((1..=128).contains(&text.len()) && text.bytes().all(plain)).then_some(text)
}

/// Whether a list of models has this one; none where it is no list.
pub(super) fn lists(body: &[u8], model: &str) -> Option<bool> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let models = body.get("data")?.as_array()?;
    Some(models.iter().any(|entry| entry.get("id").and_then(Value::as_str) == Some(model)))
}
