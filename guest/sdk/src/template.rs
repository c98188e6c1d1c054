//! Prompt templates: text with placeholders, parsed once. Rendering is one pass, so a value is never read as a
//! placeholder.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{{transcript}}` | the transcript between `<transcript>` tags that it cannot close itself |
//! | `{{filename}}` | the file's name on one line |
//! | `{{media_type}}` | `text/plain` or `text/vtt` |
//! | `{{received_at}}`, `{{date}}` | when the file was received, RFC 3339; the day alone |
//! | `{{attributes}}` | one line `- name: value` for each attribute, or `none` |
//! | `{{attributes.NAME}}` | one attribute's value on one line, empty when it is missing |
//! | `{{schema}}` | the schema that the answer must satisfy, for models without structured output |
//!
//! `\{{` is a literal `{{`. Anything else between `{{` and `}}` is an error when the template is parsed.

use std::{error::Error, fmt, mem};

use crate::{Schema, Transcript, fence};

/// Says why a template cannot be used, with the line. The template's author reads it.
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

impl Error for TemplateError {}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
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

/// Holds a parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Segment>);

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] when a placeholder is unknown or not closed.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let mut segments = Vec::new();
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
            let segment = placeholder(name).ok_or_else(|| error(format!("unknown placeholder {{{{{name}}}}}")))?;
            if !text.is_empty() {
                segments.push(Segment::Text(mem::take(&mut text)));
            }
            segments.push(segment);
            rest = &inner[close + 2..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            segments.push(Segment::Text(text));
        }
        Ok(Self(segments))
    }

    /// Returns whether the template shows the transcript; a prompt without it is a mistake.
    pub fn shows_transcript(&self) -> bool {
        self.0.contains(&Segment::Transcript)
    }

    /// Replaces the placeholders by their values.
    pub fn render(&self, transcript: &Transcript, schema: &Schema) -> String {
        self.0.iter().map(|segment| segment.render(transcript, schema)).collect()
    }
}

fn placeholder(name: &str) -> Option<Segment> {
    Some(match name {
        "transcript" => Segment::Transcript,
        "filename" => Segment::Filename,
        "media_type" => Segment::MediaType,
        "received_at" => Segment::ReceivedAt,
        "date" => Segment::Date,
        "attributes" => Segment::Attributes,
        "schema" => Segment::Schema,
        _ => Segment::Attribute(name.strip_prefix("attributes.").filter(|attribute| !attribute.is_empty())?.to_owned()),
    })
}

impl Segment {
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

/// Joins the words with single spaces. File names and attributes come from outside: on one line they cannot look like a
/// paragraph of the prompt.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Template;
    use crate::{Schema, Transcript};

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
    fn every_placeholder_is_replaced() {
        assert_eq!(
            render("{{ filename }} of {{date}} ({{received_at}}, {{media_type}})"),
            "weekly sync.txt of 2026-03-04 (2026-03-04T09:30:00Z, text/plain)"
        );
        assert_eq!(render("{{attributes}}"), "- customer: ACME Inc\n- tier: gold");
        assert_eq!(render("[{{attributes.tier}}|{{attributes.missing}}]"), "[gold|]");
        assert_eq!(render("{{schema}}"), r#"{"type":"string"}"#);
    }

    #[test]
    fn a_value_is_never_read_as_a_placeholder() {
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
