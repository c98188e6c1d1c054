//! Prompt templates: text with placeholders, parsed once. Rendering is one pass, so nothing that was filled in is
//! ever read as a placeholder.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{{transcript}}` | the transcript between `<transcript>` tags that it cannot close itself |
//! | `{{filename}}` | the file's name on one line |
//! | `{{media_type}}` | `text/plain` or `text/vtt` |
//! | `{{received_at}}`, `{{date}}` | when the file was received, RFC 3339; the day alone |
//! | `{{attributes}}` | one line `- name: value` for each attribute, `none` where there is none |
//! | `{{attributes.NAME}}` | one attribute's value on one line, empty where it is missing |
//! | `{{schema}}` | the schema that the answer must satisfy, for models that do not get it otherwise |
//!
//! `\{{` is a literal `{{`. Anything else between `{{` and `}}` is an error when the template is parsed.

use crate::{Schema, Transcript, prompt::fence};
use std::fmt;

/// Why a template cannot be used. It speaks to the template's author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    line: usize,
    reason: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for TemplateError {}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Transcript,
    Filename,
    MediaType,
    ReceivedAt,
    Date,
    Attributes,
    Attribute(String),
    Schema,
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// A placeholder that is unknown or not closed, with its line.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(open) = rest.find("{{") {
            let before = &rest[..open];
            if let Some(before) = before.strip_suffix('\\') {
                text.push_str(before);
                text.push_str("{{");
                rest = &rest[open + 2..];
                continue;
            }
            text.push_str(before);
            let error = |reason: String| {
                let offset = source.len() - rest.len() + open;
                TemplateError { line: source[..offset].matches('\n').count() + 1, reason }
            };
            let inner = &rest[open + 2..];
            let close = inner.find("}}").ok_or_else(|| error("a placeholder is not closed with }}".to_owned()))?;
            let name = inner[..close].trim();
            let piece = placeholder(name).ok_or_else(|| error(format!("unknown placeholder {{{{{name}}}}}")))?;
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
            rest = &inner[close + 2..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self(pieces))
    }

    /// Whether the transcript appears in it at all; a prompt without one is a mistake.
    pub fn shows_transcript(&self) -> bool {
        self.0.contains(&Piece::Transcript)
    }

    /// Fills the placeholders in.
    pub fn render(&self, transcript: &Transcript, schema: &Schema) -> String {
        self.0.iter().map(|piece| piece.render(transcript, schema)).collect()
    }
}

fn placeholder(name: &str) -> Option<Piece> {
    Some(match name {
        "transcript" => Piece::Transcript,
        "filename" => Piece::Filename,
        "media_type" => Piece::MediaType,
        "received_at" => Piece::ReceivedAt,
        "date" => Piece::Date,
        "attributes" => Piece::Attributes,
        "schema" => Piece::Schema,
        _ => Piece::Attribute(name.strip_prefix("attributes.").filter(|attribute| !attribute.is_empty())?.to_owned()),
    })
}

impl Piece {
    fn render(&self, transcript: &Transcript, schema: &Schema) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Transcript => fence("transcript", &transcript.text),
            Self::Filename => one_line(&transcript.filename),
            Self::MediaType => one_line(&transcript.media_type),
            Self::ReceivedAt => one_line(&transcript.received_at),
            Self::Date => one_line(transcript.received_at.split(['T', 't', ' ']).next().unwrap_or_default()),
            Self::Attributes if transcript.attributes.is_empty() => "none".to_owned(),
            Self::Attributes => {
                let lines = transcript.attributes.iter();
                lines
                    .map(|(name, value)| format!("- {}: {}", one_line(name), one_line(value)))
                    .collect::<Vec<_>>()
                    .join("\n")
            }
            Self::Attribute(wanted) => {
                let found = transcript.attributes.iter().find(|(name, _)| name == wanted);
                found.map(|(_, value)| one_line(value)).unwrap_or_default()
            }
            Self::Schema => schema.answer_schema().to_string(),
        }
    }
}

/// File names and attributes come from outside: on one line they cannot pretend to be a paragraph of the prompt.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::Template;
    use crate::{Schema, Transcript};
    use proptest::prelude::*;

    fn transcript() -> Transcript {
        Transcript {
            id: "f1".into(),
            text: "Anna: {{filename}}".into(),
            media_type: "text/plain".into(),
            filename: "weekly\nsync.txt".into(),
            received_at: "2026-03-04T09:30:00Z".into(),
            attributes: vec![("customer".into(), "ACME\r\nInc".into()), ("tier".into(), "gold".into())],
        }
    }

    fn render(source: &str) -> String {
        let schema = Schema::compile(r#"{"type": "string"}"#).expect("compiles");
        Template::parse(source).expect("parses").render(&transcript(), &schema)
    }

    #[test]
    fn every_placeholder_is_filled_in() {
        assert_eq!(
            render("{{ filename }} of {{date}} ({{received_at}}, {{media_type}})"),
            "weekly sync.txt of 2026-03-04 (2026-03-04T09:30:00Z, text/plain)"
        );
        assert_eq!(render("{{attributes}}"), "- customer: ACME Inc\n- tier: gold");
        assert_eq!(render("[{{attributes.tier}}|{{attributes.missing}}]"), "[gold|]");
        assert_eq!(render("{{schema}}"), r#"{"type":"string"}"#);
    }

    #[test]
    fn what_was_filled_in_is_never_read_as_a_placeholder() {
        assert_eq!(render("{{transcript}}"), "<transcript>\nAnna: {{filename}}\n</transcript>");
    }

    #[test]
    fn a_backslash_makes_braces_literal() {
        assert_eq!(render(r"write \{{name}} and {} and }}"), "write {{name}} and {} and }}");
    }

    #[test]
    fn an_unknown_or_open_placeholder_is_an_error_with_its_line() {
        let error = |source: &str| Template::parse(source).unwrap_err().to_string();
        assert_eq!(error("a\nb {{transkript}}"), "template line 2: unknown placeholder {{transkript}}");
        assert_eq!(error("{{transcript"), "template line 1: a placeholder is not closed with }}");
        assert_eq!(error("{{}}"), "template line 1: unknown placeholder {{}}");
        assert_eq!(error("{{attributes.}}"), "template line 1: unknown placeholder {{attributes.}}");
    }

    #[test]
    fn a_template_knows_whether_it_shows_the_transcript() {
        assert!(Template::parse("{{transcript}}").expect("parses").shows_transcript());
        assert!(!Template::parse("transcript").expect("parses").shows_transcript());
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_without_a_panic(source in "[a{}\\\\ \ntranscript.é]{0,40}") {
            let _ = Template::parse(&source);
        }

        #[test]
        fn text_without_braces_comes_out_as_it_went_in(source in "[^{]{0,40}") {
            prop_assert_eq!(render(&source), source);
        }
    }
}
