//! Reads a chat completion, leniently.
//!
//! Compatible servers leave out `object`, send null or "" for a finish reason, put the answer into another member, and add
//! members of their own.

use serde_json::Value;

use crate::{
    answer::{Answer, Asked, BodyContent},
    provider_error::ProviderError,
    usage,
};

/// Reads a body that has a success's status.
pub(crate) fn read(mut body: Value, asked: Asked) -> BodyContent {
    // Some gateways wrap the completion: {"code": 0, "data": …}.
    if body.get("choices").is_none()
        && let Some(inner) = body.get_mut("data").filter(|data| data.get("choices").is_some())
    {
        body = inner.take();
    }
    if let Some(error) = body.get("error").filter(|error| is_error(error)) {
        return BodyContent::Error(ProviderError::from_body(error));
    }
    if let Some(status) = body.get("base_resp").filter(|status| is_failed(status)) {
        return BodyContent::Error(ProviderError::from_body(status));
    }
    let usage = usage::read(&body["usage"]);
    let model = body.get("model").and_then(Value::as_str).map(str::to_owned);
    let Some(choice) = body.get_mut("choices").and_then(|choices| choices.get_mut(0)) else {
        let what = if body.get("choices").is_some() { "has no choices" } else { "is no completion" };
        return BodyContent::Nothing { what, usage };
    };
    // OpenRouter reports an upstream that failed during the answer here.
    if let Some(error) = choice.get("error").filter(|error| is_error(error)) {
        return BodyContent::Error(ProviderError::from_body(error));
    }
    let finish_reason = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut message = choice.get_mut("message").map(Value::take).unwrap_or_default();
    let (mut text, refusal) = content(&mut message);
    if text.trim().is_empty() && refusal.is_none() {
        text = elsewhere(&mut message, asked).unwrap_or_default();
    }
    BodyContent::Answer(Answer { text, refusal, finish_reason, model, usage })
}

/// Returns whether a member `error` reports an error. Some servers always send it, empty beside an answer.
pub(super) fn is_error(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

/// Returns whether MiniMax reports an error.
fn is_failed(status: &Value) -> bool {
    status.get("status_code").and_then(Value::as_u64).is_some_and(|code| code != 0)
}

/// Returns the text of a message and its refusal.
fn content(message: &mut Value) -> (String, Option<String>) {
    let mut refusal = nonempty(message.get("refusal"));
    let text = match message.get_mut("content").map(Value::take) {
        Some(Value::String(text)) => text,
        // Mistral and some gateways send parts.
        Some(Value::Array(parts)) if parts.iter().all(is_part) => {
            let mut text = String::new();
            for part in &parts {
                text.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default());
                refusal = refusal.or_else(|| nonempty(part.get("refusal")));
            }
            text
        }
        // Gateways that parse JSON answers.
        Some(document @ (Value::Object(_) | Value::Array(_))) => document.to_string(),
        _ => String::new(),
    };
    (text, refusal)
}

fn is_part(part: &Value) -> bool {
    part.get("type").is_some_and(Value::is_string) || part.get("text").is_some_and(Value::is_string)
}

fn nonempty(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Returns an answer that stands in another place of a message without content.
fn elsewhere(message: &mut Value, asked: Asked) -> Option<String> {
    // No tools were sent, so a call of one can only be the answer.
    let call = message.pointer_mut("/tool_calls/0/function/arguments").map(Value::take);
    match call.or_else(|| message.pointer_mut("/function_call/arguments").map(Value::take)) {
        Some(Value::String(arguments)) if !arguments.trim().is_empty() => return Some(arguments),
        Some(arguments @ Value::Object(_)) => return Some(arguments.to_string()),
        _ => {}
    }
    // Reasoning is no answer, except where a JSON document was asked for and it is one.
    let reasoning = ["reasoning_content", "reasoning"].into_iter().find_map(|name| nonempty(message.get(name)))?;
    (asked.json && is_document(&reasoning)).then_some(reasoning)
}

fn is_document(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(message: Value, asked: Asked) -> Option<String> {
        match read(json!({ "choices": [{ "message": message, "finish_reason": "stop" }] }), asked) {
            BodyContent::Answer(answer) => Some(answer.text),
            other => panic!("{other:?}"),
        }
        .filter(|text| !text.is_empty())
    }

    const JSON: Asked = Asked { json: true, max_output_tokens: None };
    const PROSE: Asked = Asked { json: false, max_output_tokens: None };

    #[test]
    fn an_answer_is_found_wherever_a_server_puts_it() {
        let document = r#"{"a":1}"#;
        for message in [
            json!({ "content": document }),
            json!({ "content": [{ "type": "thinking", "thinking": [] }, { "type": "text", "text": document }] }),
            json!({ "content": { "a": 1 } }),
            json!({ "content": null, "tool_calls": [{ "function": { "name": "x", "arguments": document } }] }),
            json!({ "content": "\n", "tool_calls": [{ "function": { "arguments": { "a": 1 } } }] }),
            json!({ "function_call": { "name": "x", "arguments": document } }),
            json!({ "content": "", "reasoning_content": document }),
            json!({ "content": null, "reasoning": document }),
        ] {
            assert_eq!(answer(message.clone(), JSON).as_deref(), Some(document), "{message}");
        }
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_one() {
        for message in [
            json!({ "content": null, "reasoning_content": "They talked." }),
            json!({ "content": null, "reasoning_content": "{\"a\":1} and more" }),
            json!({ "content": null, "reasoning_content": "{\"a\":" }),
            json!({ "content": null, "reasoning_content": "[1]" }),
            json!({ "content": null, "tool_calls": [] }),
            json!({ "content": null, "tool_calls": [{ "function": { "arguments": "" } }] }),
            json!({ "content": 7 }),
            json!({}),
        ] {
            assert_eq!(answer(message.clone(), JSON), None, "{message}");
        }
        let reasoning = json!({ "content": null, "reasoning_content": "{\"a\":1}" });
        assert_eq!(answer(reasoning, PROSE), None, "no document was asked for");
        let both = json!({ "content": "hi", "tool_calls": [{ "function": { "arguments": "{}" } }] });
        assert_eq!(answer(both, JSON).as_deref(), Some("hi"));
    }

    #[test]
    fn a_wrapped_completion_is_unwrapped_and_a_list_of_data_is_none() {
        let completion = json!({ "choices": [{ "message": { "content": "hi" } }] });
        assert!(
            matches!(read(json!({ "code": 0, "data": completion }), JSON), BodyContent::Answer(answer) if answer.text == "hi")
        );
        for body in
            [json!({ "data": [] }), json!({ "data": { "choices": [] } }), json!([]), json!({ "data": "choices" })]
        {
            assert!(matches!(read(body.clone(), JSON), BodyContent::Nothing { .. }), "{body}");
        }
    }
}
