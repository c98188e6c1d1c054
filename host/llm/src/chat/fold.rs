//! Folds the stream of a chat completion into the body that it would have had.

use serde_json::{Map, Value, json};

use super::read::is_error;
use crate::{event_stream::Event, lenient_json};

/// A stream, as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct ChatStream {
    /// The members of the message that grow.
    content: String,
    refusal: String,
    reasoning: String,
    arguments: String,
    finish_reason: Option<Value>,
    /// The last of each: model, usage, an error.
    kept: Map<String, Value>,
    is_complete: bool,
}

impl ChatStream {
    /// Takes an event. Returns whether the stream is at its end.
    pub(crate) fn fold(&mut self, event: &Event) -> bool {
        if event.data.trim() == "[DONE]" {
            self.is_complete = true;
            return true;
        }
        // An event that is no JSON says nothing.
        let Some(mut chunk) = lenient_json::parse(event.data.as_bytes()) else { return false };
        // Azure sends a chunk for the filter of the prompt first, and the last has the usage alone: both without choices.
        for name in ["model", "usage", "error", "base_resp"] {
            let is_told = |value: &Value| if name == "error" { is_error(value) } else { !value.is_null() };
            if let Some(value) = chunk.get_mut(name).map(Value::take).filter(is_told) {
                self.kept.insert(name.to_owned(), value);
            }
        }
        let Some(choice) = chunk.get_mut("choices").and_then(|choices| choices.get_mut(0)) else {
            return self.kept.contains_key("error");
        };
        if let Some(error) = choice.get_mut("error").map(Value::take).filter(is_error) {
            self.kept.insert("error".to_owned(), error);
        }
        if let Some(reason) = choice.get_mut("finish_reason").map(Value::take).filter(|reason| !reason.is_null()) {
            self.finish_reason = Some(reason);
            self.is_complete = true;
        }
        // Some servers send the whole message at the end, where others send one more delta.
        let delta = choice.get("delta").or_else(|| choice.get("message"));
        if let Some(delta) = delta {
            self.take_delta(delta);
        }
        self.kept.contains_key("error")
    }

    fn take_delta(&mut self, delta: &Value) {
        let text = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        match delta.get("content") {
            Some(Value::String(content)) => self.content.push_str(content),
            Some(Value::Array(parts)) => {
                for part in parts {
                    self.content.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default());
                }
            }
            _ => {}
        }
        self.refusal.push_str(text("refusal"));
        self.reasoning.push_str(text("reasoning_content"));
        self.reasoning.push_str(text("reasoning"));
        let arguments = delta.pointer("/tool_calls/0/function/arguments").and_then(Value::as_str);
        self.arguments.push_str(arguments.unwrap_or_default());
    }

    /// Returns whether the answer is whole, whatever else may come.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns how many bytes of text it has.
    pub(crate) fn text_bytes(&self) -> usize {
        self.content.len().max(self.refusal.len()).max(self.arguments.len()).max(self.reasoning.len())
    }

    /// Returns the body, or `None` if the stream ended before its end mark.
    pub(crate) fn into_body(self) -> Option<Value> {
        let Self { content, refusal, reasoning, arguments, finish_reason, kept, is_complete } = self;
        if !is_complete && !kept.contains_key("error") {
            return None;
        }
        let mut message = json!({ "content": content, "refusal": refusal, "reasoning_content": reasoning });
        if !arguments.is_empty() {
            message["tool_calls"] = json!([{ "function": { "arguments": arguments } }]);
        }
        let mut body = Value::Object(kept);
        body["choices"] = json!([{ "message": message, "finish_reason": finish_reason }]);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answer::{Answer, Asked, BodyContent},
        chat::read::read,
    };

    fn fold(events: &[&str]) -> Option<Value> {
        let mut stream = ChatStream::default();
        for data in events {
            if stream.fold(&Event { name: String::new(), data: (*data).to_owned() }) {
                break;
            }
        }
        stream.into_body()
    }

    fn answer(events: &[&str]) -> Answer {
        match read(fold(events).expect("a whole stream"), Asked { json: true, max_output_tokens: None }) {
            BodyContent::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn deltas_become_the_answer_that_a_body_would_have() {
        let answer = answer(&[
            r#"{"choices":[],"prompt_filter_results":[]}"#,
            r#"{"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"model":"m-1","choices":[{"index":0,"delta":{"content":"{\"a\":"},"finish_reason":null}],"usage":null}"#,
            r#"{"model":"m-1","choices":[{"index":0,"delta":{"content":"1}"}}]}"#,
            r#"{"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"model":"m-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
            "[DONE]",
        ]);
        assert_eq!((answer.text.as_str(), answer.finish_reason.as_str()), (r#"{"a":1}"#, "stop"));
        assert_eq!(answer.model.as_deref(), Some("m-1"));
        assert_eq!(answer.usage.map(|usage| (usage.input_tokens, usage.output_tokens)), Some((7, 3)));
    }

    #[test]
    fn arguments_of_a_tool_are_put_together() {
        let answer = answer(&[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"x","arguments":"{\"a\""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
        ]);
        assert_eq!(answer.text, r#"{"a":1}"#);
    }

    #[test]
    fn a_stream_is_whole_at_a_finish_reason_or_at_its_end_mark() {
        let text = r#"{"choices":[{"delta":{"content":"hi"},"finish_reason":null}]}"#;
        assert_eq!(answer(&[text, "[DONE]"]).text, "hi");
        assert_eq!(answer(&[text, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#]).text, "hi");
        assert_eq!(fold(&[text]), None);
        assert_eq!(fold(&[text, "no json", r#"{"choices":[]}"#]), None);
        assert_eq!(fold(&[]), None);
    }

    #[test]
    fn an_error_ends_the_stream() {
        let text = r#"{"choices":[{"delta":{"content":"hi"}}]}"#;
        for error in [
            r#"{"error":{"code":"overloaded_error","message":"x"}}"#,
            r#"{"choices":[{"delta":{"content":""},"finish_reason":"error","error":{"code":502}}]}"#,
        ] {
            let body = fold(&[text, error, text]).expect("an error");
            assert!(matches!(read(body, Asked::default()), BodyContent::Error(_)), "{error}");
        }
    }
}
