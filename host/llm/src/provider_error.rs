//! Reads the error of a provider, in any shape that compatible servers and gateways use.

use std::time::Duration;

use serde_json::Value;

use crate::{plain_word::plain_word, unquoted::unquoted};

/// A gateway puts the error of its upstream into its own, and another gateway may stand before that.
const MAX_NESTING: usize = 6;

/// What is wrong stands at the start of a text.
const READ_TEXT_BYTES: usize = 4 << 10;

/// Names of members whose text says what is wrong. Others may hold the request.
const TEXTS: &[&str] =
    &["message", "detail", "error", "msg", "error_msg", "status_msg", "error_message", "title", "raw"];

/// The error of a provider.
#[derive(Debug, Default)]
pub(crate) struct ProviderError {
    /// Codes and types, most specific first. Lower case, without spaces.
    words: Vec<String>,
    /// Google's reasons, in lower case.
    pub reasons: Vec<String>,
    /// Why a moderation refused the document. Lower case; empty in a refusal for another reason.
    pub moderation: Vec<String>,
    /// Whether a moderation says that it refused the document.
    flagged: bool,
    /// The rejected parameter.
    pub param: Option<String>,
    /// A status in the body: gateways put errors of the upstream into a success.
    pub status: Option<u16>,
    /// The wait that the body asks for: google.rpc.RetryInfo.
    pub wait: Option<Duration>,
    /// The body is a page for people, of what stands before the endpoint.
    pub is_page: bool,
    /// Lower case. Only searched, never shown: it may quote the prompt.
    text: String,
}

impl ProviderError {
    /// Reads an error body. A body that is not JSON is kept as text.
    pub(crate) fn parse(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_body(&value),
            Err(_) => {
                let text = String::from_utf8_lossy(body).to_lowercase();
                let start = text.trim_start_matches('\u{feff}').trim_start();
                let is_page = ["<!doctype html", "<html"].iter().any(|tag| start.starts_with(tag));
                Self { text, is_page, ..Self::default() }
            }
        }
    }

    /// Reads the value of a body, or of its field `error`.
    pub(crate) fn from_body(body: &Value) -> Self {
        let mut error = Self::default();
        error.read(body, MAX_NESTING);
        error
    }

    fn read(&mut self, error: &Value, nesting: usize) {
        let Some(nesting) = nesting.checked_sub(1) else { return };
        // Gemini wraps the object in a list.
        let error = error.get(0).unwrap_or(error);
        if let Value::String(text) = error {
            return self.read_text(text, nesting);
        }
        // The inner object first: its words are more specific. vLLM puts the fields at the top level.
        for inner in ["error", "base_resp", "innererror", "inner_error"] {
            if let Some(inner) = error.get(inner).filter(|inner| inner.is_object()) {
                self.read(inner, nesting);
            }
        }
        let number = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        let status = number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..600).contains(status));
        self.status = self.status.or(status);
        if number.is_none() {
            self.add_word(error.get("code"));
        }
        // Gemini calls it `status`, Hugging Face `error_type`.
        for name in ["type", "error_type", "status", "error_code"] {
            self.add_word(error.get(name));
        }
        if let Some(code) = error.get("status_code").and_then(Value::as_u64).filter(|code| *code != 0) {
            self.words.push(format!("minimax_{code}"));
        }
        let param = error.get("param").and_then(Value::as_str).and_then(plain_word);
        self.param = self.param.take().or(param).or_else(|| first_location(error));
        for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
            self.reasons.extend(detail.get("reason").and_then(Value::as_str).and_then(plain_word));
            let delay = detail.get("retryDelay").and_then(Value::as_str).and_then(seconds);
            self.wait = self.wait.or(delay);
        }
        for text in TEXTS.iter().filter_map(|name| error.get(*name)) {
            match text {
                Value::String(text) => self.read_text(text, nesting),
                // FastAPI: a list of objects, whose `input` holds the request.
                Value::Array(list) => list
                    .iter()
                    .filter_map(|entry| entry.get("msg").and_then(Value::as_str))
                    .for_each(|text| self.read_text(text, nesting)),
                _ => {}
            }
        }
        if let Some(metadata) = error.get("metadata") {
            self.read_metadata(metadata, nesting);
        }
    }

    /// OpenRouter: what a moderation found, or the error of the upstream.
    fn read_metadata(&mut self, metadata: &Value, nesting: usize) {
        let reasons = metadata.get("reasons").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.flagged |= !reasons.is_empty() || metadata.get("flagged_input").is_some_and(|input| !input.is_null());
        self.moderation.extend(reasons.iter().filter_map(Value::as_str).filter_map(plain_word));
        if let Some(raw) = metadata.get("raw") {
            self.read(raw, nesting);
        }
    }

    /// Adds text. Gateways put the whole error of the upstream into it, as JSON or as Python writes it.
    fn read_text(&mut self, text: &str, nesting: usize) {
        let inner = text.find(['{', '[']).and_then(|start| {
            serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>().next()?.ok().filter(is_error_body)
        });
        if let Some(inner) = inner {
            self.read(&inner, nesting);
        }
        self.text.push_str(&text.to_lowercase());
        self.text.push('\n');
    }

    fn add_word(&mut self, value: Option<&Value>) {
        self.words.extend(value.and_then(Value::as_str).and_then(plain_word));
    }

    /// Returns the codes and types, most specific first.
    pub(crate) fn tokens(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// Returns whether an error has this code or type.
    pub(crate) fn has_token(&self, token: &str) -> bool {
        self.words.iter().any(|word| word == token)
    }

    /// Returns whether a moderation refused the document.
    pub(crate) fn is_flagged(&self) -> bool {
        self.flagged
    }

    /// Returns the text in lower case, without what it quotes. Empty for a page, which may have any words.
    pub(crate) fn unquoted_text(&self) -> String {
        if self.is_page {
            String::new()
        } else {
            unquoted(&self.text[..self.text.floor_char_boundary(READ_TEXT_BYTES)])
        }
    }

    /// Returns whether the error names this parameter, or names none and has one of these words in its text.
    pub(crate) fn is_about(&self, param: &str, words: &[&str]) -> bool {
        match self.param.as_deref() {
            Some(named) => named == param || named.starts_with(&format!("{param}.")),
            None => self.says(words),
        }
    }

    /// Returns whether the text has one of these words.
    pub(crate) fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }
}

fn is_error_body(value: &Value) -> bool {
    let object = value.get(0).unwrap_or(value);
    ["error", "message", "detail", "code", "type"].iter().any(|name| object.get(*name).is_some())
}

/// Reads a duration as protobuf writes it in JSON: "43s", "43.2s".
fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(number).ok().filter(|wait| !wait.is_zero())
}

/// Reads the parameter from the shape of FastAPI: `{"detail": [{"loc": ["body", "response_format", "type"], …}]}`.
fn first_location(error: &Value) -> Option<String> {
    let location = error.get("detail")?.get(0)?.get("loc")?.as_array()?;
    location.iter().filter_map(Value::as_str).find(|part| *part != "body").and_then(plain_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> ProviderError {
        ProviderError::parse(body.as_bytes())
    }

    #[test]
    fn the_error_of_an_upstream_is_read_wherever_a_gateway_puts_it() {
        let upstream =
            r#"{"error":{"message":"No such thing","type":"a_type","param":"response_format","code":"a_code"}}"#;
        let quoted = serde_json::to_string(upstream).unwrap();
        for body in [
            upstream.to_owned(),
            format!("[{upstream}]"),
            format!(r#"{{"error":{{"message":"Provider returned error","code":400,"metadata":{{"raw":{quoted}}}}}}}"#),
            format!(r#"{{"error":{{"message":"Provider returned error","metadata":{{"raw":{upstream}}}}}}}"#),
            format!(
                r#"{{"error":{{"message":{}}}}}"#,
                serde_json::to_string(&format!("Exception - {upstream}")).unwrap()
            ),
        ] {
            let error = parse(&body);
            assert_eq!(error.tokens(), ["a_code", "a_type"], "{body}");
            assert_eq!(error.param.as_deref(), Some("response_format"), "{body}");
            assert!(error.unquoted_text().contains("no such thing"), "{body}");
        }
    }

    #[test]
    fn what_holds_the_request_is_no_text_of_the_error() {
        let body = r#"{"detail":[{"loc":["body","messages"],"msg":"bad","input":"our credit balance"}],"request":"spend limit"}"#;
        assert_eq!(parse(body).unquoted_text().trim(), "bad");
    }

    #[test]
    fn only_a_page_is_a_page() {
        for page in ["<!DOCTYPE html><title>x", "\u{feff}\n<html>", "<HTML lang=en>"] {
            assert!(parse(page).is_page, "{page}");
        }
        for text in ["", "html", "<error/>", "{}", r#"{"error":"<html>"}"#, "see <html>"] {
            assert!(!parse(text).is_page, "{text}");
        }
    }

    #[test]
    fn any_body_is_read() {
        let deep = format!("{}1{}", r#"{"error":"#.repeat(100), "}".repeat(100));
        for body in ["", "null", "7", "[]", "[[]]", "{}", r#""text""#, r#"{"error":7}"#, r#"{"details":7}"#, &deep] {
            assert!(parse(body).tokens().is_empty(), "{body}");
        }
    }
}
